"""Integers as packed bytes: the payload of the wire format's extension type 1.

    offset  size       content
    0       1          dtype: 1 uint8, 2 uint16, 3 uint32, 4 uint64, 5 int64
    1       1          number of dimensions, always 1
    2       4          number of items, unsigned, little-endian
    6       items * n  the items, each n bytes, little-endian

A writer takes the first dtype of the list that holds all items; no items are uint8. A reader takes
any of the five.
"""

import struct
from array import array
from collections.abc import Sequence

from jobs.errors import WireError
from jobs.little_endian import little_endian

_HEADER = struct.Struct("<BBI")

# dtype number -> (smallest, largest, array typecode). "Q" and "q" are 8 bytes and "I" 4 on every
# platform that CPython supports.
_DTYPES = {
    1: (0, 2**8 - 1, "B"),
    2: (0, 2**16 - 1, "H"),
    3: (0, 2**32 - 1, "I"),
    4: (0, 2**64 - 1, "Q"),
    5: (-(2**63), 2**63 - 1, "q"),
}


def pack_integers(items: Sequence[int]) -> bytes | None:
    """The bytes of `items`, or None if no dtype holds them all."""
    low, high = (min(items), max(items)) if len(items) else (0, 0)
    for dtype, (smallest, largest, typecode) in _DTYPES.items():
        if smallest <= low and high <= largest:
            return (
                _HEADER.pack(dtype, 1, len(items)) + little_endian(array(typecode, items)).tobytes()
            )
    return None


def unpack_integers(payload: bytes, *, at_most: int = 2**32 - 1) -> tuple[int, ...]:
    """The items in `payload`; raises WireError if it is not exactly one array of `at_most` items.

    Each item may take 40 bytes of memory, where it takes one in the payload.
    """
    if len(payload) < _HEADER.size:
        raise WireError(f"an integer array of {len(payload)} bytes is shorter than its header")
    dtype, num_dimensions, num_items = _HEADER.unpack_from(payload)
    if dtype not in _DTYPES:
        raise WireError(f"an integer array has the unknown dtype {dtype}")
    if num_dimensions != 1:
        raise WireError(f"an integer array has {num_dimensions} dimensions, not 1")
    if num_items > at_most:
        raise WireError(f"an integer array has {num_items} items, where {at_most} are allowed")
    items = array(_DTYPES[dtype][2])
    expected = _HEADER.size + num_items * items.itemsize
    if len(payload) != expected:
        raise WireError(f"an integer array has {len(payload)} bytes where it declares {expected}")
    items.frombytes(memoryview(payload)[_HEADER.size :])
    return tuple(little_endian(items))
