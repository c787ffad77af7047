"""`rowmill result --follow`: a job's rows as they come."""

from __future__ import annotations

import dataclasses
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import partial

from jobs import RowDelta
from vocab import Tokenizer
from vocab.text_stream import TextStream


def delta_lines(deltas: Iterable[RowDelta], tokenizer: Tokenizer | None) -> Iterator[str]:
    """A JSON line for each, without the fields that it lacks.

    With a tokenizer it tells in `new_text` what the tokens add to the row's text.
    """
    texts = defaultdict[int, TextStream](partial(TextStream, tokenizer)) if tokenizer else None
    for delta in deltas:
        fields = dataclasses.asdict(delta)
        if texts is not None:
            text = texts[delta.row]
            last = text.finish if delta.finish_reason else str
            fields["new_text"] = text.add(delta.tokens) + last()
        yield json.dumps({name: value for name, value in fields.items() if value is not None})
