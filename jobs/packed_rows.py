"""SampledRows as columns and a map: the content of the wire format's extension type 2.

tokens      the tokens of all rows, one after the other
lengths     the number of tokens of each row
masks       one bit per token, the first in the lowest bit of byte 0; unused bits are 0
reasons     why each row ended: 0 "stop", 1 "length"
provenance  a map of all the fields of `provenance.py`, or nil where it is not known
logprobs    a float32 per token, little-endian; finite, and at most 0. Only where the job asked for
            them: other rows are the five columns before, and nothing stands for this one
"""

from collections.abc import Sequence
from itertools import accumulate, chain
from typing import Any

from pydantic import ValidationError

from jobs.errors import WireError
from jobs.float_array import pack_floats, unpack_floats
from jobs.generate_job import MAX_NUM_SAMPLES
from jobs.provenance import Provenance
from jobs.sampled_rows import FinishReason, Row, SampledRows

Columns = tuple[
    Sequence[int], Sequence[int], bytes, Sequence[int], dict[str, Any] | None, bytes | None
]

_REASONS: tuple[FinishReason, ...] = ("stop", "length")
_BITS_TO_DIGITS = bytes.maketrans(b"\x00\x01", b"01")
_DIGITS_TO_BITS = bytes.maketrans(b"01", b"\x00\x01")


def to_columns(result: SampledRows) -> Columns:
    """Lays the rows out as (tokens, lengths, masks, reasons, provenance, logprobs or None)."""
    rows = result.rows
    tokens = list(chain.from_iterable(row.tokens for row in rows))
    masks = _pack_bits(bytes(chain.from_iterable(row.masks for row in rows)))
    reasons = [_REASONS.index(row.finish_reason) for row in rows]
    provenance = None if result.provenance is None else result.provenance.model_dump()
    lengths = [len(row.tokens) for row in rows]
    return tokens, lengths, masks, reasons, provenance, _pack_logprobs(rows)


def from_columns(columns: object) -> SampledRows:
    """Rebuilds the rows from untrusted columns; raises WireError if they do not add up."""
    five, packed_logprobs = _without_logprobs(columns)
    tokens, lengths, packed_masks, reasons, provenance = _checked(five)
    masks = _unpack_bits(packed_masks, len(tokens))
    logprobs = None if packed_logprobs is None else unpack_floats(packed_logprobs, len(tokens))
    ends = list(accumulate(lengths))
    try:
        rows = tuple(
            Row(
                tokens=tokens[end - length : end],
                masks=masks[end - length : end],
                finish_reason=_REASONS[reason],
                logprobs=None if logprobs is None else logprobs[end - length : end],
            )
            for end, length, reason in zip(ends, lengths, reasons, strict=True)
        )
        return SampledRows(
            rows=rows,
            provenance=None if provenance is None else Provenance.model_validate(provenance),
        )
    except ValidationError as error:
        raise WireError(f"rows hold a bad value: {error.errors()[0]['msg']}") from error


def _without_logprobs(columns: object) -> tuple[object, bytes | None]:
    """The first five columns, and the sixth where there is one."""
    match columns:
        case [*others, bytes(logprobs)]:
            return others, logprobs
    return columns, None


def _checked(
    columns: object,
) -> tuple[tuple[int, ...], tuple[int, ...], bytes, tuple[int, ...], dict[Any, Any] | None]:
    match columns:
        case [tuple(tokens), tuple(lengths), bytes(masks), tuple(reasons), None | dict() as its]:
            provenance = its
        case _:
            raise WireError(
                "rows are not the columns tokens, lengths, masks and reasons and a provenance, and "
                "perhaps logprobs"
            )
    if len(lengths) > MAX_NUM_SAMPLES:  # an empty row is a byte here, and hundreds as an object
        raise WireError(f"{len(lengths)} rows, where {MAX_NUM_SAMPLES} are allowed")
    if len(lengths) != len(reasons):
        raise WireError(f"rows have {len(lengths)} lengths and {len(reasons)} finish reasons")
    if any(length < 0 for length in lengths) or sum(lengths) != len(tokens):
        raise WireError(f"the lengths of the rows do not add up to their {len(tokens)} tokens")
    if not set(reasons) <= {0, 1}:
        raise WireError("rows have a finish reason other than 0 and 1")
    return tokens, lengths, masks, reasons, provenance


def _pack_logprobs(rows: Sequence[Row]) -> bytes | None:
    """None where the rows have none."""
    columns = [row.logprobs for row in rows if row.logprobs is not None]
    return pack_floats(chain.from_iterable(columns)) if columns else None


# Both ways go through Python's integers, whose base-2 conversions take linear time in C.


def _pack_bits(bits: bytes) -> bytes:
    value = int(bits[::-1].translate(_BITS_TO_DIGITS) or b"0", 2)
    return value.to_bytes((len(bits) + 7) // 8, "little")


def _unpack_bits(packed: bytes, num_bits: int) -> tuple[int, ...]:
    value = int.from_bytes(packed, "little")
    if len(packed) != (num_bits + 7) // 8 or value >> num_bits:
        raise WireError(f"rows have {num_bits} tokens and not as many mask bits")
    digits = format(value, f"0{num_bits}b")[::-1].encode() if num_bits else b""
    return tuple(digits.translate(_DIGITS_TO_BITS))
