"""A tiny tiktoken encoding: the bytes, a few merges, and nanochat's special tokens."""

from __future__ import annotations

from tiktoken import Encoding

from vocab.special import SPECIAL_TOKENS

PATTERN = r"\p{L}+|\p{N}{1,2}| ?[^\s\p{L}\p{N}]+|\s+"
MERGES = (b"he", b"ll", b"llo", b"hello", b" +")


def tiny_state() -> dict[str, object]:
    """What pickling the tiny encoding writes."""
    ranks = {bytes([byte]): byte for byte in range(256)}
    ranks |= {merge: 256 + i for i, merge in enumerate(MERGES)}
    return {
        "name": "tiny",
        "pat_str": PATTERN,
        "mergeable_ranks": ranks,
        "special_tokens": {name: len(ranks) + i for i, name in enumerate(SPECIAL_TOKENS)},
    }


def tiny_encoding() -> Encoding:
    return Encoding(**tiny_state())  # type: ignore[arg-type]
