"""Mutations of a good job's payload: what a broken, foreign or malicious producer may push."""

from __future__ import annotations

import math
import pickle
import random
import struct
import zlib
from pathlib import Path
from typing import Any

import msgpack

from jobs import FUNCTION_NAME
from tests.integration.payloads import FIELDS, OPENING, Payloads, good_payload, job_with, raw


def all_payloads(trap: Path) -> Payloads:
    """Every hostile payload; the file `trap` comes to be if one of the pickles is read."""
    yield from _truncated()
    yield from _flipped(random.Random(1))
    yield from _trailing(random.Random(2))
    yield from _noise(random.Random(3))
    yield from _envelopes()
    yield from _pickles(trap)
    yield from _other_calls()
    yield from _wrong_fields()
    yield from _integer_arrays()


def _truncated() -> Payloads:
    plain = good_payload()
    for kind, payload in (("plain", plain), ("zlib", zlib.compress(plain))):
        for end in range(0, len(payload), 3):
            yield f"cut-{kind}-{end}", payload[:end]


def _flipped(rng: random.Random) -> Payloads:
    plain = good_payload()
    for n in range(120):
        yield f"flip-plain-{n}", zlib.compress(_flip(plain, rng, 1 + n % 3))
    for n in range(30):
        yield f"flip-zlib-{n}", _flip(zlib.compress(plain), rng, 1)


def _flip(payload: bytes, rng: random.Random, num_bits: int) -> bytes:
    damaged = bytearray(payload)
    for _ in range(num_bits):
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def _trailing(rng: random.Random) -> Payloads:
    plain = good_payload()
    for n, tail in enumerate((b"\x00", b"\xc0", plain, rng.randbytes(9), bytes(2**20))):
        yield f"tail-plain-{n}", plain + tail
        yield f"tail-inside-{n}", zlib.compress(plain + tail)
        yield f"tail-zlib-{n}", zlib.compress(plain) + tail


def _noise(rng: random.Random) -> Payloads:
    for n in range(20):
        noise = rng.randbytes(2**n % 5000)
        yield f"noise-{n}", noise
        yield f"noise-in-envelope-{n}", OPENING + noise
    for first in range(0, 256, 8):
        yield f"first-byte-{first}", bytes([first]) + rng.randbytes(40)


def _envelopes() -> Payloads:
    good = msgpack.unpackb(good_payload(), ext_hook=msgpack.ExtType)["body"]
    for n, version in enumerate((0, 2, -1, 2**64 - 1, 1.0, True, None, "1", b"1", [1], {})):
        yield f"version-{n}", msgpack.packb({"v": version, "body": good})
    for n, envelope in enumerate(
        ({}, {"v": 1}, {"body": good}, {"v": 1, "body": good, "x": 1}, [1, good], good, {1: good})
    ):
        yield f"envelope-{n}", msgpack.packb(envelope)
    for n, body in enumerate((None, 1, "jobs.generate", [], [FUNCTION_NAME], good[:3], {}, [good])):
        yield f"body-{n}", raw(body)
    yield "two-bodies", b"\x83" + good_payload()[1:] + msgpack.packb("body") + b"\xc0"


class _Trap:
    """A pickle of this creates a file where it is read."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self._path,)


def _pickles(trap: Path) -> Payloads:
    values = {"call": (FUNCTION_NAME, None, (), FIELDS), "trap": _Trap(trap), "map": {"v": 1}}
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        for name, value in values.items():
            pickled = pickle.dumps(value, protocol)
            yield f"pickle-{name}-{protocol}", pickled
            yield f"pickle-{name}-{protocol}-zlib", zlib.compress(pickled)
            yield f"pickle-{name}-{protocol}-inside", raw([FUNCTION_NAME, pickled, [], {}])
        yield f"pickle-field-{protocol}", job_with(seed=pickle.dumps(values["trap"], protocol))


def _other_calls() -> Payloads:
    functions = [
        *("os.system", "builtins.eval", "builtins.exec", "subprocess.run", "jobs.generate.x"),
        *("jobs.Client", "jobs.generate ", " jobs.generate", "JOBS.GENERATE", "generate", ""),
        *("jobs.generate\0", "jobs.generate\n", "rq.job.Job.fetch", "worker.cli.main", "x" * 10**6),
        *("__import__('os').system('true')", "../jobs.generate", "jobs/generate", "jobs:generate"),
        *(None, True, 1, 1.5, b"jobs.generate", ["jobs.generate"], {"jobs.generate": 1}),
        [[["deep"]]],
        list(range(1000)),
    ]
    for n, function in enumerate(functions):
        yield f"function-{n}", zlib.compress(raw([function, None, [], FIELDS]))
    for n, instance in enumerate(("jobs.Client", 0, False, "", [], {}, b"", {"a": 1}, 1.5)):
        yield f"instance-{n}", raw([FUNCTION_NAME, instance, [], FIELDS])
    for n, args in enumerate(([1], ["os.system"], "args", {"a": 1}, 1, True, [[]], [FIELDS])):
        yield f"args-{n}", raw([FUNCTION_NAME, None, args, FIELDS])
    for n, kwargs in enumerate(
        (None, [], "kwargs", 1, True, [["seed", 1]], b"", {}, {1: 2}, {b"a": 1})
    ):
        yield f"kwargs-{n}", raw([FUNCTION_NAME, None, [], kwargs])
    for n, parts in enumerate(([FUNCTION_NAME, None, []], [FUNCTION_NAME, None, [], FIELDS, 1])):
        yield f"parts-{n}", raw(parts)


def _wrong_fields() -> Payloads:
    values: list[object] = [
        *(None, True, False, 0, -1, 1.5, -0.0, math.nan, math.inf, -math.inf, 5e-324, 1.7e308),
        *(2**31, 2**32, 2**63, 2**64 - 1, -(2**63), "", "1", "nan", "a" * 100_000, b"1"),
        *([], [1], [[1]], {}, {"a": 1}, msgpack.ExtType(1, b""), msgpack.Timestamp(1)),
    ]
    for name in FIELDS:
        for n, value in enumerate(values):
            yield f"field-{name}-{n}", job_with(**{name: value})
    names = (
        "self",
        "cls",
        "__class__",
        "model_config",
        "fields",
        "",
        "prompt tokens",
        "a" * 100_000,
    )
    for n, name in enumerate(names):
        yield f"name-{n}", job_with(**{name: 1})
    yield "many-names", job_with(**{f"field_{n}": n for n in range(50_000)})
    for name in FIELDS:
        kwargs = {key: value for key, value in FIELDS.items() if key != name}
        yield f"without-{name}", raw([FUNCTION_NAME, None, [], kwargs])
    for n, token in enumerate(
        (-1, 264, 265, 2**31, 2**32, 2**64 - 1, True, None, "1", 1.0, [1], {})
    ):
        yield f"token-{n}", job_with(prompt_tokens=[256, token, 259])


def _integer_arrays() -> Payloads:
    def header(dtype: int, dimensions: int, size: int) -> bytes:
        return struct.pack("<BBI", dtype, dimensions, size)

    contents = [
        *(
            b"",
            b"\x01",
            header(1, 1, 0)[:5],
            header(1, 1, 0),
            header(1, 1, 1),
            header(1, 1, 0) + b"\x01",
        ),
        *(header(0, 1, 1) + b"\x01", header(6, 1, 1) + bytes(8), header(255, 1, 1) + b"\x01"),
        *(header(1, 0, 1) + b"\x01", header(1, 2, 1) + b"\x01", header(1, 255, 1) + b"\x01"),
        *(
            header(4, 1, 2**32 - 1) + bytes(8),
            header(2, 1, 2**31) + bytes(8),
            header(3, 1, 1) + bytes(3),
        ),
        *(
            header(5, 1, 1) + b"\xff" * 8,
            header(4, 1, 1) + b"\xff" * 8,
            header(2, 1, 1) + b"\xff\xff",
        ),
    ]
    for n, content in enumerate(contents):
        yield f"integers-{n}", job_with(prompt_tokens=msgpack.ExtType(1, content))
        yield f"integers-as-seed-{n}", job_with(seed=msgpack.ExtType(1, content))
    one = header(1, 1, 1) + b"\x01"
    for code in (0, 2, 3, 42, 127, 128, 254, 255):  # those from 128 on stand for negative ones
        prompt = b"\xadprompt_tokens\xc7" + bytes([len(one), code]) + one
        call = b"\x94\xadjobs.generate\xc0\x90\x81" + prompt
        yield f"extension-{code}", zlib.compress(OPENING + call)
