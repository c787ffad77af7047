"""SampledRows as columns and maps: the content of the wire format's extension type 2.

tokens      the tokens of all rows, one after the other
lengths     the number of tokens of each row
masks       one bit per token, the first in the lowest bit of byte 0; unused bits are 0
reasons     why each row ended: 0 "stop", 1 "length"
provenance  a map of all the fields of `provenance.py`, or nil where it is not known
logprobs    a float32 per token, little-endian; finite, and at most 0
more        a map of columns, each of which may be missing, but not all:
    top_tokens       of all rows, one after the other, as many for each token
    top_logprobs     a float32 for each of them, as in logprobs
    text             an array with a string for each row
    prompt_logprobs  a float32 for each token of the prompt but the first, as in logprobs

Only the first five are there in every case. The others are what a job asked for: rows without the
last have one column less, and rows without the last two have two less; nil stands for logprobs
where only `more` is there. Columns to come will be in `more`.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

from pydantic import ValidationError

from jobs.bit_array import pack_bits, unpack_bits
from jobs.columns import cut, widths
from jobs.errors import WireError
from jobs.float_array import pack_floats, unpack_floats
from jobs.generate_job import MAX_NUM_SAMPLES
from jobs.sampled_rows import FinishReason, Row, SampledRows

REASONS: tuple[FinishReason, ...] = ("stop", "length")


def to_columns(result: SampledRows) -> list[object]:
    """Lays the rows out. Tuples are integers."""
    rows = result.rows
    columns: list[object] = [
        tuple(chain.from_iterable(row.tokens for row in rows)),
        tuple(len(row.tokens) for row in rows),
        pack_bits(bytes(chain.from_iterable(row.masks for row in rows))),
        tuple(REASONS.index(row.finish_reason) for row in rows),
        None if result.provenance is None else result.provenance.model_dump(),
    ]
    logprobs = _pack_logprobs(row.logprobs for row in rows)
    more = {name: column for name, column in _more(result).items() if column is not None}
    if more:
        return [*columns, logprobs, more]
    return columns if logprobs is None else [*columns, logprobs]


def from_columns(columns: object) -> SampledRows:
    """Rebuilds the rows from untrusted columns; raises WireError if they do not add up."""
    first, logprobs, more = _split(columns)
    tokens, lengths, masks, reasons, provenance = _checked(first)
    its = {
        "tokens": cut(tokens, lengths),
        "masks": cut(unpack_bits(masks, len(tokens)), lengths),
        "finish_reason": [REASONS[reason] for reason in reasons],
    }
    if logprobs is not None:
        its["logprobs"] = cut(unpack_floats(logprobs, len(tokens)), lengths)
    its |= _row_columns(more, len(tokens), lengths)
    try:
        return SampledRows.model_validate(
            {
                "rows": tuple(
                    Row(**dict(zip(its, values, strict=True)))
                    for values in zip(*its.values(), strict=True)
                ),
                "provenance": provenance,
                "prompt_logprobs": _floats(more.get("prompt_logprobs")),
            }
        )
    except ValidationError as error:
        raise WireError(f"rows hold a bad value: {error.errors()[0]['msg']}") from error


def _more(result: SampledRows) -> dict[str, object]:
    rows = result.rows
    top_tokens = [row.top_tokens for row in rows if row.top_tokens is not None]
    texts = [row.text for row in rows if row.text is not None]
    return {
        "top_tokens": tuple(chain.from_iterable(top_tokens)) if top_tokens else None,
        "top_logprobs": _pack_logprobs(row.top_logprobs for row in rows),
        "text": texts or None,
        "prompt_logprobs": _pack_logprobs([result.prompt_logprobs]),
    }


def _row_columns(
    more: Mapping[str, object], num_tokens: int, lengths: Sequence[int]
) -> dict[str, Sequence[Any]]:
    """What is in `more` of each row."""
    its: dict[str, Sequence[Any]] = {}
    match more:
        case {"top_tokens": tuple(top_tokens), "top_logprobs": bytes(likely)}:
            its_widths = widths(len(top_tokens), num_tokens, lengths)
            its["top_tokens"] = cut(top_tokens, its_widths)
            its["top_logprobs"] = cut(unpack_floats(likely, len(top_tokens)), its_widths)
        case {"top_tokens": _} | {"top_logprobs": _}:
            raise WireError("top_tokens are integers, and top_logprobs bytes beside them")
    match more:
        case {"text": list(texts)} if [*map(type, texts)] == [str] * len(lengths):
            its["text"] = texts
        case {"text": _}:
            raise WireError("text is no array with a string for each row")
    return its


def _floats(packed: object) -> tuple[float, ...] | None:
    match packed:
        case None:
            return None
        case bytes():
            return unpack_floats(packed, len(packed) // 4)
    raise WireError("prompt_logprobs are no bytes")


def _split(columns: object) -> tuple[object, bytes | None, dict[str, object]]:
    """The first five columns, the logprobs, and the map of the others."""
    match columns:
        case [_, _, _, _, _, bytes() | None as logprobs, dict(more)] if more:
            unknown = more.keys() - {"top_tokens", "top_logprobs", "text", "prompt_logprobs"}
            if unknown or None in more.values():
                raise WireError("rows have columns that this version does not know")
            return columns[:5], logprobs, more
        case [*others, bytes(logprobs)]:
            return others, logprobs, {}
    return columns, None, {}


def _checked(
    columns: object,
) -> tuple[tuple[int, ...], tuple[int, ...], bytes, tuple[int, ...], dict[Any, Any] | None]:
    match columns:
        case [tuple(tokens), tuple(lengths), bytes(masks), tuple(reasons), None | dict() as its]:
            provenance = its
        case _:
            raise WireError(
                "rows are not the columns tokens, lengths, masks and reasons and a provenance, and "
                "perhaps logprobs and a map of more"
            )
    if len(lengths) > MAX_NUM_SAMPLES:  # an empty row is a byte here, and hundreds as an object
        raise WireError(f"{len(lengths)} rows, where {MAX_NUM_SAMPLES} are allowed")
    if len(lengths) != len(reasons):
        raise WireError(f"rows have {len(lengths)} lengths and {len(reasons)} finish reasons")
    if any(length < 0 for length in lengths) or sum(lengths) != len(tokens):
        raise WireError(f"the lengths of the rows do not add up to their {len(tokens)} tokens")
    if not set(reasons) <= {0, 1}:
        raise WireError("rows have a finish reason other than 0 and 1")
    return tokens, lengths, masks, reasons, provenance


def _pack_logprobs(columns: Iterable[Sequence[float] | None]) -> bytes | None:
    """None where there are none."""
    given = [column for column in columns if column is not None]
    return pack_floats(chain.from_iterable(given)) if given else None
