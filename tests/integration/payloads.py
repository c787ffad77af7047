"""A good job's payload, and how to write one that is not."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

import msgpack

from jobs import FUNCTION_NAME, MsgpackSerializer

Payloads = Iterator[tuple[str, bytes]]
"""Names and RQ's `data` field. All is deterministic: a name is enough to make its bytes again."""

FIELDS: dict[str, Any] = {
    "prompt_tokens": [256, 257, 49, 43, 50, 258, 259],
    "num_samples": 2,
    "first_row": 3,
    "max_tokens": 6,
    "temperature": 0.75,
    "top_k": 40,
    "top_p": 0.9,
    "min_p": 0.01,
    "seed": 2**40 + 5,
    "stop": ["\n\n"],
    "logit_bias": {"50": -1.5},
    "bad_words": ["x", [120, 121]],
    "logprobs": True,
}
OPENING = b"\x82\xa1v\x01\xa4body"
"""Of an envelope: the body follows."""


def good_payload() -> bytes:
    return MsgpackSerializer.dumps([FUNCTION_NAME, None, [], FIELDS])


def raw(body: object) -> bytes:
    """An envelope around what our own writer would refuse."""
    payload: bytes = msgpack.packb({"v": 1, "body": body})
    return payload


def job_with(**fields: object) -> bytes:
    """A good job with some fields changed, compressed as RQ does it."""
    return zlib.compress(raw([FUNCTION_NAME, None, [], {**FIELDS, **fields}]))
