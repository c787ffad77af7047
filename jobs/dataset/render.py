"""Rows as text."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from jobs.errors import InvalidJobError
from vocab import Tokenizer
from vocab.display import display

Render = Callable[[Sequence[int]], str]


def renderer(tokenizer: Tokenizer | None) -> Render:
    """Shows rows as `vocab.display` does. Raises InvalidJobError where they could not be shown."""
    if tokenizer is None:
        raise InvalidJobError("text", "text without a tokenizer", "used with a model")
    try:
        display((), tokenizer)
    except KeyError as error:
        reason = f"text of a tokenizer without {error}"
        raise InvalidJobError("text", reason, "used with one that has nanochat's tokens") from error
    return lambda tokens: display(tokens, tokenizer)
