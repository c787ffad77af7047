"""Bits as packed bytes: the first in the lowest bit of byte 0; unused bits are 0."""

from jobs.errors import WireError

_BITS_TO_DIGITS = bytes.maketrans(b"\x00\x01", b"01")
_DIGITS_TO_BITS = bytes.maketrans(b"01", b"\x00\x01")

# Both ways go through Python's integers, whose base-2 conversions take linear time in C.


def pack_bits(bits: bytes) -> bytes:
    """The bytes of `bits`, each of which is 0 or 1."""
    value = int(bits[::-1].translate(_BITS_TO_DIGITS) or b"0", 2)
    return value.to_bytes((len(bits) + 7) // 8, "little")


def unpack_bits(packed: bytes, num_bits: int) -> tuple[int, ...]:
    """The bits in `packed`; raises WireError if they are not exactly so many."""
    value = int.from_bytes(packed, "little")
    if len(packed) != (num_bits + 7) // 8 or value >> num_bits:
        raise WireError(f"rows have {num_bits} tokens and not as many mask bits")
    digits = format(value, f"0{num_bits}b")[::-1].encode() if num_bits else b""
    return tuple(digits.translate(_DIGITS_TO_BITS))
