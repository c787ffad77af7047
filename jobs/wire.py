"""The wire format: how jobs and results are written as bytes. Version 1.

A payload is one msgpack value (https://github.com/msgpack/msgpack/blob/master/spec.md), a map with
exactly the keys

    "v"     1, the version of this format
    "body"  the value

and nothing after it. Values are nil, booleans, integers, floats, UTF-8 strings, byte strings,
arrays, maps with string keys, and two extension types; containers are nested at most 16 deep.

  Extension 1, integers: what a list of nothing but integers is written as, if all are from 0 to
      2**64-1 or all from -2**63 to 2**63-1. `int_array.py` gives the bytes. An empty list is an
      ordinary array. Readers must also take an ordinary array of integers.
  Extension 2, the rows of a job: a msgpack array of five, the columns tokens (extension 1),
      lengths (extension 1), masks (byte string) and reasons (extension 1), and the provenance (a
      map, or nil); or of six, with the column logprobs (byte string) behind them; or of seven, with
      logprobs (nil where there are none) and a map of further columns. `packed_rows.py` says what
      is in them. A reader need not know the longer forms to read what did not ask for them.

What RQ puts in a payload: a job's `data` field is zlib around one whose body is the array
[function name, nil, arguments, keyword arguments]; a result's `return_value` is base64 around one
whose body is extension 2. The keyword arguments are a GenerateJob's fields, of which those at their
defaults may be missing. A job has no extension 2, and at most 2**20 integers and other items.

A chunk of a job's stream has an array as its body, of the columns in `packed_deltas.py`, whose
integers are extension 1 even if there are none.

In Python, integers come back as a tuple, other arrays as lists, extension 2 as `SampledRows`.
Pickle is never read or written. Only this file imports msgpack.
"""

from array import array
from collections.abc import Callable, Sequence, Sized
from typing import Any, TypeVar

import msgpack

from jobs import packed_deltas
from jobs.errors import WireError, brief
from jobs.int_array import pack_integers, unpack_integers
from jobs.packed_rows import from_columns, to_columns
from jobs.row_delta import RowDelta
from jobs.sampled_rows import SampledRows

WIRE_VERSION = 1

MAX_DEPTH = 16
MAX_ITEMS = 2**20  # of all arrays and maps: a few bytes must not become gigabytes of objects
INTEGERS = 1
ROWS = 2

_Container = TypeVar("_Container", bound=Sized)
_CHECKED = (dict, list, msgpack.Timestamp)


class MsgpackSerializer:
    """RQ's serializer protocol over this format. Hand the class itself to RQ on both sides."""

    @staticmethod
    def dumps(value: object, /) -> bytes:
        """Writes a value; raises WireError if the format has no place for it."""
        return _packed({"v": WIRE_VERSION, "body": _writable(value, 0)})

    @staticmethod
    def loads(payload: bytes, /) -> Any:
        """Reads a value; raises WireError, and nothing else, whatever the bytes are."""
        if not isinstance(payload, bytes | bytearray | memoryview):
            raise WireError(f"a payload is bytes, not {type(payload).__name__}")
        return _body(bytes(payload), _read_extension, _Room())


def read_call(payload: bytes) -> Any:
    """Reads the body of a job's payload, as `MsgpackSerializer.loads`, within a job's limits.

    What it makes takes at most 25 bytes for each of the payload's and 80 for each of MAX_ITEMS
    items, of which each takes one of the payload's; also where the payload is refused.
    """
    room = _Room()

    def read_extension(code: int, content: bytes) -> tuple[int, ...]:
        if code == ROWS:
            raise WireError("rows, which no job has")
        if code != INTEGERS:
            raise WireError(f"unknown extension type {code}")
        integers = unpack_integers(content, at_most=room.num_items)
        return room.hold(integers)

    return _body(payload, read_extension, room)


def dump_chunk(deltas: Sequence[RowDelta]) -> bytes:
    """Writes what a job's stream tells at once; raises WireError unless the deltas are alike."""
    columns = [_column(column) for column in packed_deltas.to_columns(deltas)]
    return _packed({"v": WIRE_VERSION, "body": columns})


def load_chunk(payload: bytes) -> tuple[RowDelta, ...]:
    """Reads the deltas; raises WireError, and nothing else, whatever the bytes are."""
    return packed_deltas.from_columns(_body(payload, _read_integers, _Room()))


class _Room:
    """How many more items the arrays and maps of a payload may have."""

    def __init__(self) -> None:
        self.num_items = MAX_ITEMS

    def take(self, num_items: int) -> None:
        self.num_items -= num_items
        if self.num_items < 0:
            raise WireError(f"arrays and maps of more than {MAX_ITEMS} items in all")

    def hold(self, container: _Container) -> _Container:
        """Counts an array or map, which is an item of its own, and gives it back."""
        self.take(1 + len(container))
        return container


def _body(payload: bytes, read_extension: Callable[[int, bytes], object], room: _Room) -> Any:
    # Pickle's protocols 2 to 5 open with these bytes; in msgpack they open no map of ours.
    if payload[:1] == b"\x80" and payload[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        raise WireError("a pickle, which is never read; use jobs.wire.MsgpackSerializer")
    envelope = _unpacked(payload, read_extension, room)
    if not isinstance(envelope, dict) or "v" not in envelope:
        raise WireError("msgpack, but without the version of Rowmill's format")
    # A bool or a float equals an integer in Python, and is none here.
    if type(envelope["v"]) is not int or envelope["v"] != WIRE_VERSION:
        raise WireError(f"version {brief(envelope['v'])}, this reads {WIRE_VERSION}")
    if envelope.keys() != {"v", "body"}:
        raise WireError("version 1, but its keys are not 'v' and 'body'")
    body = envelope["body"]
    if isinstance(body, _CHECKED):
        _check(body, 0)
    return body


def _writable(value: object, depth: int) -> object:
    """Replaces what msgpack has no type for."""
    if depth > MAX_DEPTH and isinstance(value, dict | list | tuple):
        raise WireError(f"values are nested more than {MAX_DEPTH} deep")
    match value:
        case None | bool() | int() | float() | str() | bytes():
            return value
        case SampledRows():
            return _write_rows(value)
        case list() | tuple() | array():
            return _write_sequence(value, depth)
        case dict():
            if not all(isinstance(key, str) for key in value):
                raise WireError("maps on the wire have string keys only")
            return {key: _writable(item, depth + 1) for key, item in value.items()}
        case _:
            raise WireError(f"the wire format has no place for a {type(value).__name__}")


def _write_sequence(items: "list[Any] | tuple[Any, ...] | array[Any]", depth: int) -> object:
    if set(map(type, items)) == {int}:
        packed = pack_integers(items)
        if packed is not None:
            return msgpack.ExtType(INTEGERS, packed)
    return [_writable(item, depth + 1) for item in items]


def _write_rows(result: SampledRows) -> msgpack.ExtType:
    return msgpack.ExtType(ROWS, _packed([_column(its) for its in to_columns(result)]))


def _column(column: object) -> object:
    match column:
        case tuple():
            return msgpack.ExtType(INTEGERS, pack_integers(column))
        case dict():
            return {name: _column(value) for name, value in column.items()}
    return column


def _read_extension(code: int, payload: bytes) -> object:
    if code == ROWS:
        return from_columns(_unpacked(payload, _read_integers, _Room()))
    return _read_integers(code, payload)


def _read_integers(code: int, payload: bytes) -> tuple[int, ...]:
    if code != INTEGERS:
        raise WireError(f"unknown extension type {code}")
    return unpack_integers(payload)


def _packed(value: object) -> bytes:
    try:
        payload: bytes = msgpack.packb(value)
    except (ValueError, OverflowError) as error:  # an integer or string that msgpack cannot hold
        raise WireError(f"cannot be written as msgpack: {error}") from error
    return payload


def _unpacked(
    payload: bytes, read_extension: Callable[[int, bytes], object], room: _Room
) -> object:
    # Room is made for as many items as an array declares, before there is one; each takes a byte.
    most = min(MAX_ITEMS, len(payload))
    try:
        return msgpack.unpackb(
            payload,
            ext_hook=read_extension,
            list_hook=room.hold,
            object_hook=room.hold,
            max_array_len=most,
            max_map_len=most,
        )
    except WireError:
        raise
    except Exception as error:  # msgpack's own, ValueError, UnicodeDecodeError and others
        raise WireError(f"not msgpack: {brief(str(error) or type(error).__name__)}") from error


def _check(value: object, depth: int) -> None:
    """Refuses what msgpack can say and this format cannot."""
    if depth > MAX_DEPTH:
        raise WireError(f"values are nested more than {MAX_DEPTH} deep")
    if isinstance(value, msgpack.Timestamp):
        raise WireError("unknown extension type -1")
    if isinstance(value, dict) and not all(isinstance(key, str) for key in value):
        raise WireError("maps on the wire have string keys only")
    for child in value.values() if isinstance(value, dict) else value:  # type: ignore[attr-defined]
        if isinstance(child, _CHECKED):
            _check(child, depth + 1)
