"""The chunks of a job's stream hold what is put in, and survive what is not."""

import struct
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs import RowDelta, WireError
from jobs.generate_job import MAX_NUM_SAMPLES
from jobs.wire import MsgpackSerializer, dump_chunk, load_chunk

logprobs = st.floats(max_value=0, width=32, allow_nan=False, allow_infinity=False)
OPTIONAL = st.sets(st.sampled_from([("logprobs",), ("top_tokens", "top_logprobs"), ("text",)]))


@st.composite
def row_deltas(draw: st.DrawFn, *, optional: frozenset[str], num_top: int) -> RowDelta:
    """With the optional columns of these names."""
    tokens = draw(st.lists(st.integers(0, 2 ** draw(st.sampled_from([8, 16, 32])) - 1)))
    size, num_likely = len(tokens), num_top * len(tokens)
    columns = {
        "logprobs": st.lists(logprobs, min_size=size, max_size=size).map(tuple),
        "top_tokens": st.lists(st.integers(0, 2**17), min_size=num_likely, max_size=num_likely),
        "top_logprobs": st.lists(logprobs, min_size=num_likely, max_size=num_likely),
    }
    fields: dict[str, Any] = {
        name: tuple(draw(column)) for name, column in columns.items() if name in optional
    }
    return RowDelta(
        row=draw(st.integers(0, MAX_NUM_SAMPLES - 1)),
        start=draw(st.integers(0, 2**32 - 1)),
        tokens=tuple(tokens),
        masks=tuple(draw(st.lists(st.integers(0, 1), min_size=size, max_size=size))),
        finish_reason=draw(st.sampled_from([None, "stop", "length"])),
        text=draw(st.none() | st.text(st.characters(codec="utf-8")))
        if "text" in optional
        else None,
        **fields,
    )


@st.composite
def chunks(draw: st.DrawFn) -> tuple[RowDelta, ...]:
    optional = frozenset(name for names in draw(OPTIONAL) for name in names)
    its = row_deltas(optional=optional, num_top=draw(st.integers(1, 3)))
    return tuple(draw(st.lists(its, max_size=5)))


@given(chunks())
def test_deltas_come_back(deltas: tuple[RowDelta, ...]) -> None:
    assert load_chunk(dump_chunk(deltas)) == deltas


def _integers(*items: int) -> msgpack.ExtType:
    return msgpack.ExtType(1, bytes([1, 1]) + len(items).to_bytes(4, "little") + bytes(items))


def _chunk(*columns: object) -> bytes:
    payload: bytes = msgpack.packb({"v": 1, "body": columns})
    return payload


GOOD: dict[str, object] = {
    "rows": _integers(2, 0),
    "starts": _integers(5, 9),
    "lengths": _integers(2, 1),
    "tokens": _integers(7, 8, 9),
    "masks": b"\x05",
    "reasons": _integers(2, 0),
    "more": {},
}


def _with(**changes: object) -> bytes:
    return _chunk(*{**GOOD, **changes}.values())


def _more(**more: object) -> bytes:
    return _with(more=more)


def test_the_bytes_are_those_of_the_specification() -> None:
    deltas = (
        RowDelta(row=2, start=5, tokens=(7, 8), masks=(1, 0)),
        RowDelta(row=0, start=9, tokens=(9,), masks=(1,), finish_reason="stop"),
    )
    assert dump_chunk(deltas) == _with()
    assert load_chunk(_with()) == deltas


def test_deltas_that_are_not_alike_are_a_wire_error() -> None:
    bare = RowDelta(row=0, start=0, tokens=(1,), masks=(1,))
    told = RowDelta(row=1, start=0, tokens=(1,), masks=(1,), logprobs=(-0.5,))
    with pytest.raises(WireError, match="logprobs"):
        dump_chunk((bare, told))


BAD = {
    "nothing": b"",
    "another value": MsgpackSerializer.dumps("a text"),
    "integers": MsgpackSerializer.dumps([1, 2]),
    "another version": _with().replace(b"v\x01", b"v\x02"),
    "a column less": _chunk(*[*GOOD.values()][:6]),
    "a column more": _chunk(*GOOD.values(), None),
    "columns in lists": _with(rows=[2, 0]),
    "more deltas than there are rows": _chunk(
        *[msgpack.ExtType(1, b"\1\1" + (2**16).to_bytes(4, "little") + bytes(2**16))] * 3,
        _integers(),
        b"",
        msgpack.ExtType(1, b"\1\1" + (2**16).to_bytes(4, "little") + bytes(2**16)),
        {},
    ),
    "a start less": _with(starts=_integers(5)),
    "a row too far": _with(
        rows=msgpack.ExtType(1, b"\2\1\2\0\0\0" + struct.pack("<HH", 0, MAX_NUM_SAMPLES))
    ),
    "a negative start": _with(
        starts=msgpack.ExtType(1, b"\5\1\2\0\0\0" + struct.pack("<qq", 0, -1))
    ),
    "lengths that do not add up": _with(lengths=_integers(2, 2)),
    "a mask too many": _with(masks=b"\x0d"),
    "a token of 64 bits": _with(
        tokens=msgpack.ExtType(1, b"\4\1\3\0\0\0" + struct.pack("<QQQ", 1, 2, 2**32))
    ),
    "an unknown reason": _with(reasons=_integers(3, 0)),
    "an unknown column": _more(texts=[None, "a"]),
    "a logprob less": _more(logprobs=bytes(8)),
    "logprobs in a list": _more(logprobs=[-1.0, -1.0, -1.0]),
    "a logprob above 0": _more(logprobs=struct.pack("<3f", -1, 0.5, -1)),
    "a logprob that is no number": _more(logprobs=struct.pack("<3f", -1, float("nan"), -1)),
    "a logprob without an end": _more(logprobs=struct.pack("<3f", -1, float("-inf"), -1)),
    "top tokens alone": _more(top_tokens=_integers(1, 2, 3)),
    "top tokens of no width": _more(top_tokens=_integers(1, 2), top_logprobs=bytes(8)),
    "a top logprob less": _more(top_tokens=_integers(1, 2, 3), top_logprobs=bytes(8)),
    "a text less": _more(text=["a"]),
    "text in bytes": _more(text=[b"a", None]),
}


@pytest.mark.parametrize("payload", BAD.values(), ids=BAD.keys())
def test_what_is_no_chunk_is_a_wire_error(payload: bytes) -> None:
    with pytest.raises(WireError):
        load_chunk(payload)


@given(chunks(), st.data())
def test_a_damaged_chunk_decodes_or_is_a_wire_error(
    deltas: tuple[RowDelta, ...], data: st.DataObject
) -> None:
    payload = bytearray(dump_chunk(deltas))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(payload) - 1))
        payload[at] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(payload)))
    for damaged in (bytes(payload), bytes(payload[:end])):
        try:
            read = load_chunk(damaged)
        except WireError:
            continue
        assert load_chunk(dump_chunk(read)) == read
