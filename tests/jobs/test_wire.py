"""The wire format holds what is put in, and survives what is not."""

import base64
import contextlib
import math
import pickle
import struct
import sys
import tracemalloc
from array import array
from typing import Any

import msgpack
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jobs import MsgpackSerializer, Provenance, Row, SampledRows, WireError
from jobs.generate_job import MAX_NUM_SAMPLES, MAX_PROMPT_TOKENS
from jobs.wire import MAX_ITEMS, read_call

dumps, loads = MsgpackSerializer.dumps, MsgpackSerializer.loads

scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.binary()
values = st.recursive(
    scalars | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


logprobs = st.floats(max_value=0, width=32, allow_nan=False, allow_infinity=False)


@st.composite
def rows(draw: st.DrawFn, *, optional: frozenset[str], num_top: int) -> Row:
    """With the optional columns of these names."""
    tokens = draw(st.lists(st.integers(0, 2 ** draw(st.sampled_from([8, 16, 32])) - 1)))
    size, num_likely = len(tokens), num_top * len(tokens)
    columns = {
        "logprobs": st.lists(logprobs, min_size=size, max_size=size),
        "top_tokens": st.lists(st.integers(0, 2**17), min_size=num_likely, max_size=num_likely),
        "top_logprobs": st.lists(logprobs, min_size=num_likely, max_size=num_likely),
        "text": st.text(st.characters(codec="utf-8")),
    }
    fields = {
        "tokens": tokens,
        "masks": draw(st.lists(st.integers(0, 1), min_size=size, max_size=size)),
        "finish_reason": draw(st.sampled_from(["stop", "length"])),
    }
    fields |= {name: draw(column) for name, column in columns.items() if name in optional}
    return Row.model_validate(fields)


@st.composite
def many_rows(draw: st.DrawFn) -> tuple[Row, ...]:
    sets = st.sets(st.sampled_from([("logprobs",), ("top_tokens", "top_logprobs"), ("text",)]))
    optional = frozenset(name for names in draw(sets) for name in names)
    its = rows(optional=optional, num_top=draw(st.integers(1, 3)))
    return tuple(draw(st.lists(its, max_size=5)))


texts = st.text(min_size=1, max_size=256)
provenances = st.builds(
    Provenance,
    reproducible=st.booleans(),
    model=st.none() | st.from_regex("[0-9a-f]{64}", fullmatch=True),
    dtype=st.none() | texts,
    device=texts,
    kernels=st.sampled_from(["native-v4 GCC 12.2.0", "torch"]),
    policy=texts,
    sampler=st.integers(1, 2**31 - 1),
    versions=st.dictionaries(st.sampled_from(["rowmill", "torch", "cuda"]), texts),
)
results = st.builds(
    SampledRows,
    rows=many_rows(),
    provenance=st.none() | provenances,
    prompt_logprobs=st.none() | st.lists(logprobs, max_size=5).map(tuple),
)
PROVENANCE = {
    "reproducible": True,
    "model": "0f" * 32,
    "dtype": "float32",
    "device": "a processor",
    "kernels": "native",
    "policy": "mkl-strict",
    "sampler": 1,
    "versions": {"torch": "2.13.0"},
}


def _as_lists(value: Any) -> Any:
    """Forgets which sequences are tuples."""
    if isinstance(value, list | tuple):
        return [_as_lists(item) for item in value]
    if isinstance(value, dict):
        return {key: _as_lists(item) for key, item in value.items()}
    return value


def _wrapped(body: object, version: object = 1) -> bytes:
    payload: bytes = msgpack.packb({"v": version, "body": body})
    return payload


def _integers(dtype: int, items: bytes, num_items: int, num_dimensions: int = 1) -> msgpack.ExtType:
    header = bytes([dtype, num_dimensions]) + num_items.to_bytes(4, "little")
    return msgpack.ExtType(1, header + items)


def _rows(*columns: object, provenance: object = None) -> bytes:
    return _wrapped(msgpack.ExtType(2, msgpack.packb([*columns, provenance])))


def _one_row(logprobs: object, *more: object) -> bytes:
    """Three tokens and six columns, or seven."""
    columns = (_integers(1, b"\x07\x08\x09", 3), _integers(1, b"\x03", 1), b"\x05")
    packed = msgpack.packb([*columns, _integers(1, b"\x01", 1), None, logprobs, *more])
    return _wrapped(msgpack.ExtType(2, packed))


def _row_with(**more: object) -> bytes:
    """Three tokens and a map of further columns."""
    return _one_row(None, more)


def _top(dtype: int = 1, num_items: int = 3, likely: object = bytes(12)) -> bytes:
    items = bytes(num_items * {1: 1, 5: 8}[dtype])
    return _row_with(top_tokens=_integers(dtype, items, num_items), top_logprobs=likely)


def _provenance(**changes: object) -> bytes:
    """A job without rows whose provenance is changed, or loses the fields that become `...`."""
    fields = {**PROVENANCE, **changes}
    no_rows = (_integers(1, b"", 0), _integers(1, b"", 0), b"", _integers(1, b"", 0))
    return _rows(*no_rows, provenance={k: v for k, v in fields.items() if v is not ...})


@given(values)
@example([-1, 2**64 - 1])
@example([-(2**63), 2**63 - 1])
def test_values_come_back(value: Any) -> None:
    assert _as_lists(loads(dumps(value))) == _as_lists(value)


@given(results)
def test_rows_come_back(result: SampledRows) -> None:
    assert loads(dumps(result)) == result


def test_the_bytes_are_those_of_the_specification() -> None:
    tokens = b"\xc7\x0a\x01" + b"\x02\x01" + b"\x02\x00\x00\x00" + b"\x01\x00\x00\x01"
    assert dumps([1, 256]) == b"\x82\xa1v\x01\xa4body" + tokens

    row = Row(tokens=(7, 8, 9), masks=(1, 0, 1), finish_reason="length")
    columns = (
        _integers(1, b"\x07\x08\x09", 3),
        _integers(1, b"\x03", 1),
        b"\x05",
        _integers(1, b"\x01", 1),
    )
    assert dumps(SampledRows(rows=(row,))) == _rows(*columns)
    known = SampledRows(rows=(row,), provenance=Provenance.model_validate(PROVENANCE))
    assert dumps(known) == _rows(*columns, provenance=PROVENANCE)

    likely = row.model_copy(update={"logprobs": (-0.5, 0.0, -2.0)})
    floats = bytes.fromhex("000000bf 00000000 000000c0")
    assert dumps(SampledRows(rows=(likely,))) == _one_row(logprobs=floats)

    told = {"top_tokens": (1, 2, 3), "top_logprobs": (-0.5, 0.0, -2.0), "text": "é"}
    more = {
        "top_tokens": _integers(1, b"\x01\x02\x03", 3),
        "top_logprobs": floats,
        "text": ["é"],
        "prompt_logprobs": floats[:4],
    }
    for its, logprobs in ((row, None), (likely, floats)):
        told_rows = (its.model_copy(update=told),)
        result = SampledRows(rows=told_rows, prompt_logprobs=(-0.5,))
        assert dumps(result) == _one_row(logprobs, more)
        assert loads(dumps(result)) == result


@pytest.mark.parametrize(("largest", "size"), [(255, 1), (256, 2), (65536, 4), (2**32, 8)])
def test_integers_take_the_smallest_dtype(largest: int, size: int) -> None:
    assert len(dumps([largest] * 1000)) - len(dumps([])) == pytest.approx(1000 * size, abs=12)


def test_lists_tuples_and_arrays_are_the_same_bytes() -> None:
    assert dumps([1, 2]) == dumps((1, 2)) == dumps(array("I", [1, 2]))


def test_booleans_stay_booleans() -> None:
    assert loads(dumps([True, 1])) == [True, 1]
    assert loads(dumps([True, 1]))[0] is True


def test_a_big_endian_host_writes_and_reads_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    # Told that it is of the other kind, a host swaps what it should not, and back on reading.
    straight = dumps([1, 2**40])
    row = Row(tokens=(1,), masks=(1,), finish_reason="stop", logprobs=(-0.7109375,))
    rows = SampledRows(rows=(row,))
    straight_rows = dumps(rows)
    monkeypatch.setattr(sys, "byteorder", "big" if sys.byteorder == "little" else "little")
    assert dumps([1, 2**40]) != straight
    assert loads(dumps([1, 2**40])) == (1, 2**40)
    assert straight_rows[-4:] == dumps(rows)[:-5:-1]
    assert loads(dumps(rows)) == rows


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_is_refused_unread(protocol: int) -> None:
    with pytest.raises(WireError, match="a pickle" if protocol >= 2 else "msgpack"):
        loads(pickle.dumps({"v": 1, "body": 1}, protocol))


OPENING = b"\x82\xa1v\x01\xa4body"
BAD = {
    "nothing": b"",
    "text": b"hello",
    "JSON": b'{"v": 1, "body": 1}',
    "no map": msgpack.packb([1, 2]),
    "no version": msgpack.packb({"body": 1}),
    "no body": msgpack.packb({"v": 1}),
    "another key": msgpack.packb({"v": 1, "body": 1, "more": 2}),
    "version 9": _wrapped(1, version=9),
    "version true": _wrapped(1, version=True),
    "bytes after the end": dumps(1) + b"\xc0",
    "cut short": dumps("a text")[:-1],
    "a huge array": b"\x82\xa1v\x01\xa4body\xdd\xff\xff\xff\xff",
    "a huge string": b"\x82\xa1v\x01\xa4body\xdb\xff\xff\xff\xff",
    "a huge extension": b"\x82\xa1v\x01\xa4body\xc9\xff\xff\xff\xff\x01",
    "text that is no UTF-8": b"\x82\xa1v\x01\xa4body\xa1\xff",
    "deep arrays": b"\x82\xa1v\x01\xa4body" + b"\x91" * 100_000 + b"\xc0",
    "nested too deep": b"\x82\xa1v\x01\xa4body" + b"\x91" * 17 + b"\x90",
    "a timestamp": _wrapped(msgpack.Timestamp(1)),
    "bytes as a key": _wrapped({b"a": 1}),
    "an integer as a key": b"\x82\xa1v\x01\xa4body\x81\x01\x01",
    "unknown extension": _wrapped(msgpack.ExtType(3, b"")),
    "integers without a header": _wrapped(msgpack.ExtType(1, b"\x01\x01")),
    "integers of dtype 0": _wrapped(_integers(0, b"", 0)),
    "integers in two dimensions": _wrapped(_integers(1, b"", 0, num_dimensions=2)),
    "more integers declared": _wrapped(_integers(2, b"\x00\x00", 2**32 - 1)),
    "fewer integers declared": _wrapped(_integers(2, b"\x00\x00\x00\x00", 1)),
    "rows of nothing": _wrapped(msgpack.ExtType(2, b"")),
    "rows of three columns": _rows(_integers(1, b"", 0), _integers(1, b"", 0), b""),
    "rows of four columns": _wrapped(
        msgpack.ExtType(2, msgpack.packb([*[_integers(1, b"", 0)] * 2, b"", _integers(1, b"", 0)]))
    ),
    "rows of six columns": _rows(*[_integers(1, b"", 0)] * 2, b"", _integers(1, b"", 0), None),
    "rows of lists": _rows([1], [1], b"\x01", [0]),
    "rows in rows": _rows(msgpack.ExtType(2, b"\x90"), _integers(1, b"", 0), b"", b""),
    "lengths that do not add up": _rows(
        _integers(1, b"\x07", 1), _integers(1, b"\x02", 1), b"\x01", _integers(1, b"\x00", 1)
    ),
    "a negative length": _rows(
        _integers(1, b"\x07", 1),
        _integers(5, (2).to_bytes(8, "little") + (-1).to_bytes(8, "little", signed=True), 2),
        b"\x01",
        _integers(1, b"\x00\x00", 2),
    ),
    "too few masks": _rows(
        _integers(1, b"\x07", 1), _integers(1, b"\x01", 1), b"", _integers(1, b"\x00", 1)
    ),
    "mask bits without a token": _rows(
        _integers(1, b"\x07", 1), _integers(1, b"\x01", 1), b"\x03", _integers(1, b"\x00", 1)
    ),
    "an unknown finish reason": _rows(
        _integers(1, b"\x07", 1), _integers(1, b"\x01", 1), b"\x01", _integers(1, b"\x02", 1)
    ),
    "more reasons than rows": _rows(
        _integers(1, b"\x07", 1), _integers(1, b"\x01", 1), b"\x01", _integers(1, b"\x00\x00", 2)
    ),
    "a token of 64 bits": _rows(
        _integers(4, b"\xff" * 8, 1), _integers(1, b"\x01", 1), b"\x01", _integers(1, b"\x00", 1)
    ),
    "logprobs of too few tokens": _one_row(bytes(8)),
    "logprobs of too many tokens": _one_row(bytes(16)),
    "logprobs of half a token": _one_row(bytes(10)),
    "logprobs of nothing": _one_row(b""),
    "logprobs that are nil": _one_row(None),
    "logprobs as integers": _one_row(_integers(1, bytes(3), 3)),
    "a logprob that is no number": _one_row(struct.pack("<3f", -1, math.nan, -1)),
    "a logprob of no chance": _one_row(struct.pack("<3f", -1, -math.inf, -1)),
    "a logprob above 0": _one_row(struct.pack("<3f", -1, 1e-30, -1)),
    "a seventh column": _wrapped(
        msgpack.ExtType(
            2,
            msgpack.packb([*[_integers(1, b"", 0)] * 2, b"", _integers(1, b"", 0), None, b"", b""]),
        )
    ),
    "a map of no columns": _row_with(),
    "an eighth column": _one_row(None, {"text": ["a"]}, None),
    "an unknown column": _row_with(text=["a"], texts=["a"]),
    "a column of nil": _row_with(text=None),
    "columns under bytes": _one_row(None, {b"text": ["a"]}),
    "logprobs as integers before more": _one_row(_integers(1, bytes(3), 3), {"text": ["a"]}),
    "top tokens alone": _row_with(top_tokens=_integers(1, bytes(3), 3)),
    "top logprobs alone": _row_with(top_logprobs=bytes(12)),
    "top tokens in a list": _row_with(top_tokens=[1, 2, 3], top_logprobs=bytes(12)),
    "top tokens for some tokens": _top(num_items=4, likely=bytes(16)),
    "top tokens for no token": _top(num_items=0, likely=b""),
    "more top tokens than logprobs": _top(num_items=6),
    "half a top logprob": _top(likely=bytes(10)),
    "a top logprob above 0": _top(likely=struct.pack("<3f", -1, 1, -1)),
    "a top logprob that is no number": _top(likely=struct.pack("<3f", -1, math.nan, -1)),
    "a negative top token": _row_with(
        top_tokens=_integers(5, b"\xff" * 24, 3), top_logprobs=bytes(12)
    ),
    "a top token of 64 bits": _row_with(
        top_tokens=_integers(4, b"\xff" * 24, 3), top_logprobs=bytes(12)
    ),
    "text of another number of rows": _row_with(text=["a", "b"]),
    "text that is one string": _row_with(text="a"),
    "text in bytes": _row_with(text=[b"a"]),
    "text of nil": _row_with(text=[None]),
    "text as integers": _row_with(text=_integers(1, b"\x01", 1)),
    "a row's text that is no UTF-8": _row_with(text=["~~"]).replace(b"~~", b"\xff\xfe"),
    "half a prompt logprob": _row_with(prompt_logprobs=bytes(6)),
    "prompt logprobs in a list": _row_with(prompt_logprobs=[-1.0]),
    "a prompt logprob above 0": _row_with(prompt_logprobs=struct.pack("<f", 1)),
    "a provenance that is no map": _rows(
        _integers(1, b"", 0), _integers(1, b"", 0), b"", _integers(1, b"", 0), provenance=[1]
    ),
    "a provenance without a field": _provenance(policy=...),
    "a provenance with another field": _provenance(more=1),
    "a provenance with a verdict of 1": _provenance(reproducible=1),
    "a fingerprint that is none": _provenance(model="0F" * 32),
    "a fingerprint with a line break": _provenance(model="0f" * 32 + "\n"),
    "a device without a name": _provenance(device=""),
    "a device of 257 letters": _provenance(device="a" * 257),
    "kernels without a name": _provenance(kernels=""),
    "kernels with a story": _provenance(kernels="native " * 40),
    "a sampler that is true": _provenance(sampler=True),
    "a sampler of version 0": _provenance(sampler=0),
    "versions in a list": _provenance(versions=["2"]),
    "a version that is a number": _provenance(versions={"torch": 2}),
    "a version of nothing": _provenance(versions={"": "2"}),
    "a version of a number": _provenance(versions={1: "2"}),
    "too many versions": _provenance(versions={f"a{n}": "1" for n in range(17)}),
}


@pytest.mark.parametrize("payload", BAD.values(), ids=BAD.keys())
def test_what_is_not_the_format_is_a_wire_error(payload: bytes) -> None:
    with pytest.raises(WireError):
        loads(payload)


def test_the_error_says_which_version_it_met() -> None:
    with pytest.raises(WireError, match="version 9, this reads 1"):
        loads(_wrapped(1, version=9))


@given(st.binary() | st.binary().map(lambda tail: b"\x82\xa1v\x01\xa4body" + tail))
def test_random_bytes_decode_or_are_a_wire_error(payload: bytes) -> None:
    _decodes_or_is_refused(payload)


@given(values | results, st.data())
def test_a_damaged_payload_decodes_or_is_a_wire_error(value: Any, data: st.DataObject) -> None:
    payload = bytearray(dumps(value))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(payload) - 1))
        payload[at] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(payload)))
    _decodes_or_is_refused(bytes(payload))
    _decodes_or_is_refused(bytes(payload[:end]))


def _decodes_or_is_refused(payload: bytes) -> None:
    try:
        value = loads(payload)
    except WireError:
        return
    dumps(value)  # what can be read can be written


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(object(), id="an object"),  # whose repr is another one in every process
        {1, 2},
        {1: 2},
        {b"a": 1},
        2**64,
        -(2**63) - 1,
        [2**64],
        1j,
        "\ud800",
        range(3),
    ],
    ids=repr,
)
def test_a_value_without_a_place_is_a_wire_error(value: Any) -> None:
    with pytest.raises(WireError):
        dumps(value)


def test_a_list_that_holds_itself_is_a_wire_error() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(WireError, match="deep"):
        dumps(endless)


@pytest.mark.parametrize("payload", [None, "text", 1])
def test_what_is_not_bytes_is_a_wire_error(payload: Any) -> None:
    with pytest.raises(WireError, match="bytes"):
        loads(payload)


@given(values)
def test_a_call_is_read_as_any_value(value: Any) -> None:
    assert read_call(dumps(value)) == loads(dumps(value))


def test_a_call_has_no_rows() -> None:
    with pytest.raises(WireError, match="rows"):
        read_call(dumps(["jobs.generate", None, [], {"prompt_tokens": SampledRows(rows=())}]))


def test_a_call_has_room_for_the_longest_prompt_and_not_for_many() -> None:
    longest = [1] * MAX_PROMPT_TOKENS
    for prompt in (longest, msgpack.packb(longest)):
        assert read_call(dumps(["jobs.generate", None, [], {"prompt_tokens": prompt}]))
    with pytest.raises(WireError, match="items"):
        read_call(dumps(["jobs.generate", None, [], {"prompt_tokens": longest, "seed": longest}]))


@pytest.mark.parametrize("num_items", [1, 3, 1000])
def test_the_items_of_all_arrays_and_maps_are_bounded(num_items: int) -> None:
    """Each takes a byte, and an empty array 64 in memory."""
    array = bytes([0xDD]) + num_items.to_bytes(4, "big") + b"\x90" * num_items
    num_arrays = MAX_ITEMS // num_items
    payload = OPENING + b"\xdd" + num_arrays.to_bytes(4, "big") + array * num_arrays
    for read in (loads, read_call):
        with pytest.raises(WireError, match="items"):
            read(payload)


def test_a_job_has_no_more_rows_than_it_may_ask_for() -> None:
    def empty_rows(number: int) -> bytes:
        zeros = _integers(1, bytes(number), number)
        return _rows(_integers(1, b"", 0), zeros, b"", zeros)

    assert len(loads(empty_rows(MAX_NUM_SAMPLES)).rows) == MAX_NUM_SAMPLES
    with pytest.raises(WireError, match="65536 rows"):
        loads(empty_rows(MAX_NUM_SAMPLES + 1))


def _array(num_items: int) -> bytes:
    return b"\xdd" + num_items.to_bytes(4, "big")


def _extension(content: bytes) -> bytes:
    return b"\xc9" + len(content).to_bytes(4, "big") + b"\x01" + content


MEBIBYTE = 2**20
CROWDED = {
    "arrays": _array(MEBIBYTE - 9) + b"\x90" * (MEBIBYTE - 9),
    "maps": _array(MEBIBYTE - 9) + b"\x80" * (MEBIBYTE - 9),
    "strings": _array(2**18) + b"\xa2ab" * 2**18,
    "unfinished arrays": (_array(2**16) + b"\xa2ab" * (2**16 - 1)) * 5,
    "unfinished and empty arrays": _array(2**20 - 1) * 500 + bytes(MEBIBYTE),
    "bytes": _array(2**18) + b"\xc4\x02ab" * 2**18,
    "floats": _array(2**17) + (b"\xcb" + bytes(8)) * 2**17,
    "keys": b"\xdf\x00\x01\x00\x00" + b"".join(b"\xa4%04x\x80" % n for n in range(2**16)),
    "small integers": _extension(b"\1\1" + (2**19).to_bytes(4, "little") + b"\1" * 2**19),
    "wide integers": _extension(b"\2\1" + (2**19).to_bytes(4, "little") + b"\0\4" * 2**19),
    "extensions": _array(2**16) + b"\xc7\x06\x01\1\1\0\0\0\0" * 2**16,
}


@pytest.mark.parametrize("body", CROWDED.values(), ids=CROWDED.keys())
def test_reading_a_call_takes_memory_in_proportion_to_its_bytes(body: bytes) -> None:
    _reads_within_its_memory(OPENING + body)


@given(st.binary(max_size=300).map(lambda tail: OPENING + tail))
def test_reading_any_bytes_takes_memory_in_proportion_to_them(payload: bytes) -> None:
    _reads_within_its_memory(payload)


def _reads_within_its_memory(payload: bytes) -> None:
    """As much as `read_call` promises, and what an error and its traceback take."""
    tracemalloc.start()
    try:
        with contextlib.suppress(WireError):
            read_call(payload)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 25 * len(payload) + 80 * min(len(payload), MAX_ITEMS) + 100_000


def test_rows_of_16_times_500_tokens_are_small() -> None:
    row = Row(tokens=tuple(range(500)), masks=(1,) * 500, finish_reason="stop")
    payload = dumps(SampledRows(rows=(row,) * 16))
    assert len(base64.b64encode(payload)) < 3 * 16 * 500
