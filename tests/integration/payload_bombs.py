"""Payloads of few bytes that would take much memory or time: of zlib, msgpack and our format."""

from __future__ import annotations

import gzip
import struct
import zlib
from typing import Any

import msgpack

from jobs import FUNCTION_NAME
from tests.integration.payloads import OPENING, Payloads, good_payload, job_with, raw

BIG = 2**20


def all_bombs() -> Payloads:
    yield from _inflated()
    yield from _declared()
    yield from _crowded()
    yield from _nested()
    yield from _long_prompts()
    yield from _rows()


def _array(num_items: int) -> bytes:
    """The head of an array that declares so many."""
    return b"\xdd" + struct.pack(">I", num_items)


def _packed(dtype: int, num_items: int, item: bytes) -> msgpack.ExtType:
    return msgpack.ExtType(1, struct.pack("<BBI", dtype, 1, num_items) + item * num_items)


def _inflated() -> Payloads:
    """Payloads that are much larger inside."""
    plain = good_payload()
    yield "bomb-zeros", zlib.compress(bytes(2**27), 9)
    yield "bomb-in-bomb", zlib.compress(zlib.compress(bytes(2**26), 9), 9)
    yield "bomb-string", zlib.compress(OPENING + b"\xdb\x04\x00\x00\x00" + b"a" * 2**26, 9)
    yield "bomb-tail", zlib.compress(plain + bytes(2**26), 9)
    yield "bomb-just-above", zlib.compress(bytes(2**24 + 1), 9)
    yield "bomb-just-below", zlib.compress(bytes(2**24 - 1), 9)
    yield "large-plain", bytes(17 * 2**20)
    yield "large-string", raw("a" * (17 * 2**20))
    yield "gzip", gzip.compress(plain, mtime=0)
    deflater = zlib.compressobj(wbits=-15)
    yield "raw-deflate", deflater.compress(plain) + deflater.flush()
    deflater = zlib.compressobj(zdict=plain)
    yield "preset-dictionary", deflater.compress(plain) + deflater.flush()
    yield "twice-compressed", zlib.compress(zlib.compress(plain))
    yield "empty-stream", zlib.compress(b"")


def _declared() -> Payloads:
    """A few bytes that announce gigabytes."""
    for name, head in (
        ("array", b"\xdd"),
        ("map", b"\xdf"),
        ("string", b"\xdb"),
        ("bytes", b"\xc6"),
        ("extension", b"\xc9"),
    ):
        for size in (2**16, BIG, BIG + 1, 2**31, 2**32 - 1):
            announced = head + struct.pack(">I", size)
            yield f"declared-{name}-{size}", OPENING + announced
            yield f"declared-{name}-{size}-nested", OPENING + announced * 400
    yield "declared-and-there", zlib.compress(OPENING + _array(BIG) * 500 + bytes(BIG))


def _crowded() -> Payloads:
    """Objects that take far more memory than their bytes, as many as the limit lets through."""
    crowds = {
        "arrays": b"\x90",
        "maps": b"\x80",
        "strings": b"\xa2ab",
        "floats": b"\xcb" + bytes(8),
        "integers": b"\xcd\x01\x00",
        "extensions": b"\xc7\x06\x01\x01\x01\x00\x00\x00\x00",
    }
    for name, item in crowds.items():
        array = _array(BIG) + item * BIG
        num_arrays = (2**24 - 100) // len(array)
        if num_arrays:
            crowd = bytes([0x90 + num_arrays]) + array * num_arrays
            yield f"crowd-{name}", zlib.compress(OPENING + crowd)
    levels = (_array(BIG) + b"\xa2ab" * (BIG - 1)) * 5
    yield "crowd-unfinished", zlib.compress(OPENING + levels + b"\xc0")
    keys = b"".join(b"\xa4" + f"{n:04x}".encode() + b"\x80" for n in range(2**16))
    yield "crowd-keys", zlib.compress(OPENING + b"\xdf\x00\x01\x00\x00" + keys)
    yield "crowd-same-key", zlib.compress(OPENING + b"\xdf\x00\x01\x00\x00" + b"\xa1a\x80" * 2**16)


def _nested() -> Payloads:
    for depth in (15, 16, 17, 100, 511, 512, 1023, 1024, 1025, 100_000):
        arrays, maps = b"\x91" * depth + b"\xc0", b"\x81\xa1a" * depth + b"\xc0"
        yield f"deep-arrays-{depth}", OPENING + arrays
        yield f"deep-maps-{depth}", OPENING + maps
        for name, place in (("function", 0), ("instance", 1), ("args", 2), ("kwargs", 3)):
            parts = [b"\xadjobs.generate", b"\xc0", b"\x90", b"\x80"]
            parts[place] = arrays
            yield f"deep-{name}-{depth}", OPENING + b"\x94" + b"".join(parts)
    extension: bytes = msgpack.packb(None)
    for _ in range(200):
        extension = msgpack.packb(msgpack.ExtType(2, extension))
    yield "deep-extensions", OPENING + extension


def _long_prompts() -> Payloads:
    for size in (256, 257, 10_000, BIG - 1, BIG, BIG + 1):
        yield f"prompt-{size}-list", job_with(prompt_tokens=[1] * size)
    for size in (256, 10_000, BIG, BIG + 1, 16_000_000):
        yield f"prompt-{size}-packed", job_with(prompt_tokens=_packed(1, size, b"\1"))
    yield "prompt-wide", job_with(prompt_tokens=_packed(2, 8_000_000, b"\0\4"))
    many = [_packed(2, 400_000, b"\0\4")] * 20
    yield "prompt-twenty-times", zlib.compress(raw([FUNCTION_NAME, None, many, {}]))


def _rows() -> Payloads:
    one, none = _packed(1, 1, b"\1"), _packed(1, 0, b"")
    zero, millions = _packed(1, 1, b"\0"), _packed(1, 8_000_000, b"\0")
    columns: dict[str, list[Any]] = {
        "good": [one, one, b"\1", zero, None],
        "none": [none, none, b"", none, None],
        "short": [one, _packed(1, 1, b"\2"), b"\1", zero, None],
        "no-masks": [one, one, b"", zero, None],
        "reason": [one, one, b"\1", _packed(1, 1, b"\x09"), None],
        "provenance": [one, one, b"\1", zero, {"a": 1}],
        "lists": [[7], [1], b"\1", [0], None],
        "four": [one, one, b"\1", zero],
        "millions": [none, millions, b"", millions, None],
        "millions-of-tokens": [millions, none, b"\xff" * 1_000_000, none, None],
    }
    for name, its in columns.items():
        rows = msgpack.ExtType(2, msgpack.packb(its))
        yield f"rows-{name}", zlib.compress(raw(rows))
        yield f"rows-{name}-as-prompt", job_with(prompt_tokens=rows)
    for n, content in enumerate(
        (b"", b"\x90", b"\xc0", b"\x95", bytes(10), b"\xdd\xff\xff\xff\xff")
    ):
        yield f"rows-broken-{n}", job_with(prompt_tokens=msgpack.ExtType(2, content))
