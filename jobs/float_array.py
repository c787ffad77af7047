"""Floats as packed bytes: float32, four bytes each, little-endian, one after the other."""

from array import array
from collections.abc import Iterable, Sequence

from jobs.errors import WireError
from jobs.little_endian import little_endian


def pack_floats(items: Iterable[float]) -> bytes:
    """The bytes of `items`, each of which has to be a float32 number."""
    return little_endian(array("f", items)).tobytes()


def unpack_floats(payload: bytes, num_items: int) -> tuple[float, ...]:
    """The items in `payload`; raises WireError if they are not exactly so many."""
    if len(payload) != 4 * num_items:
        raise WireError(f"{num_items} floats of {len(payload)} bytes, which is not four each")
    items = array("f")
    items.frombytes(payload)
    return tuple(little_endian(items))


def are_float32(items: Sequence[float]) -> bool:
    """Whether each is a float32 number, and so comes back from its bytes as it was."""
    return array("f", items).tolist() == list(items)
