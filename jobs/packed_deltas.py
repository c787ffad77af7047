"""RowDeltas as columns: the body of a chunk in a job's stream, and what is in it.

rows     the row of each delta
starts   how many of its row's tokens came before
lengths  how many it has
tokens   the tokens of all deltas, one after the other
masks    one bit per token, the first in the lowest bit of byte 0; unused bits are 0
reasons  0 "stop", 1 "length", 2 where the row goes on
more     a map of columns, each of which may be missing:
    logprobs      a float32 per token, little-endian; finite, and at most 0
    top_tokens    of all deltas, one after the other, as many for each token
    top_logprobs  a float32 for each of them, as in logprobs
    text          an array with a string or nil for each delta

All but masks and more are integers. A column that is there is of all deltas: those of one job are
alike.
"""

from collections.abc import Mapping, Sequence
from itertools import chain
from math import inf
from typing import Any

from jobs.bit_array import pack_bits, unpack_bits
from jobs.columns import cut, widths
from jobs.errors import WireError
from jobs.float_array import pack_floats, unpack_floats
from jobs.generate_job import MAX_NUM_SAMPLES, UINT32_MAX
from jobs.packed_rows import REASONS
from jobs.row_delta import RowDelta

_GOES_ON = len(REASONS)


def to_columns(deltas: Sequence[RowDelta]) -> list[object]:
    """Lays the deltas out. Tuples are integers; raises WireError where deltas are not alike."""
    return [
        tuple(delta.row for delta in deltas),
        tuple(delta.start for delta in deltas),
        tuple(len(delta.tokens) for delta in deltas),
        tuple(chain.from_iterable(delta.tokens for delta in deltas)),
        pack_bits(bytes(chain.from_iterable(delta.masks for delta in deltas))),
        tuple(
            _GOES_ON if delta.finish_reason is None else REASONS.index(delta.finish_reason)
            for delta in deltas
        ),
        {name: column for name, column in _more(deltas).items() if column is not None},
    ]


def from_columns(columns: object) -> tuple[RowDelta, ...]:
    """Rebuilds the deltas from untrusted columns; raises WireError if they do not add up."""
    rows, starts, lengths, tokens, masks, reasons, more = _checked(columns)
    its: dict[str, Sequence[Any]] = {
        "row": rows,
        "start": starts,
        "tokens": cut(tokens, lengths),
        "masks": cut(unpack_bits(masks, len(tokens)), lengths),
        "finish_reason": [(*REASONS, None)[reason] for reason in reasons],
    }
    its |= _delta_columns(more, len(tokens), lengths)
    return tuple(
        RowDelta(**dict(zip(its, values, strict=True)))
        for values in zip(*its.values(), strict=True)
    )


def _more(deltas: Sequence[RowDelta]) -> dict[str, object]:
    texts = [delta.text for delta in deltas]
    top_tokens = _joined("top_tokens", deltas)
    return {
        "logprobs": _floats("logprobs", deltas),
        "top_tokens": top_tokens,
        "top_logprobs": _floats("top_logprobs", deltas),
        "text": None if texts == [None] * len(texts) else texts,
    }


def _floats(name: str, deltas: Sequence[RowDelta]) -> bytes | None:
    joined = _joined(name, deltas)
    return None if joined is None else pack_floats(joined)


def _joined(name: str, deltas: Sequence[RowDelta]) -> tuple[Any, ...] | None:
    """A column of all deltas; None where they have none."""
    given = [column for delta in deltas if (column := getattr(delta, name)) is not None]
    if not given:
        return None
    if len(given) != len(deltas):
        raise WireError(f"deltas with {name} beside deltas without")
    return tuple(chain.from_iterable(given))


def _checked(
    columns: object,
) -> tuple[
    tuple[int, ...],
    tuple[int, ...],
    tuple[int, ...],
    tuple[int, ...],
    bytes,
    tuple[int, ...],
    dict[str, object],
]:
    match columns:
        case [
            tuple(rows),
            tuple(starts),
            tuple(lengths),
            tuple(tokens),
            bytes(masks),
            tuple(reasons),
            dict(more),
        ]:
            _check_integers(rows, starts, lengths, tokens, reasons)
            return rows, starts, lengths, tokens, masks, reasons, more
    raise WireError(
        "a chunk is not the columns rows, starts, lengths, tokens, masks and reasons and a map"
    )


def _check_integers(
    rows: tuple[int, ...],
    starts: tuple[int, ...],
    lengths: tuple[int, ...],
    tokens: tuple[int, ...],
    reasons: tuple[int, ...],
) -> None:
    if len(rows) > MAX_NUM_SAMPLES:  # a delta without tokens is bytes here, and hundreds later
        raise WireError(f"{len(rows)} deltas, where {MAX_NUM_SAMPLES} are allowed")
    if not len(rows) == len(starts) == len(lengths) == len(reasons):
        raise WireError("a chunk's rows, starts, lengths and reasons are not as many")
    for name, column, limit in (
        ("row", rows, MAX_NUM_SAMPLES - 1),
        ("start", starts, UINT32_MAX),
        ("length", lengths, len(tokens)),
        ("token", tokens, UINT32_MAX),
        ("reason", reasons, _GOES_ON),
    ):
        if column and not 0 <= min(column) <= max(column) <= limit:
            raise WireError(f"a chunk has a {name} that is not from 0 to {limit}")
    if sum(lengths) != len(tokens):
        raise WireError(f"the lengths of a chunk do not add up to its {len(tokens)} tokens")


def _delta_columns(
    more: Mapping[str, object], num_tokens: int, lengths: Sequence[int]
) -> dict[str, Sequence[Any]]:
    """What is in `more` of each delta."""
    if unknown := more.keys() - {"logprobs", "top_tokens", "top_logprobs", "text"}:
        raise WireError(f"a chunk has {len(unknown)} column(s) that this version does not know")
    its: dict[str, Sequence[Any]] = {}
    if "logprobs" in more:
        its["logprobs"] = cut(_logprobs(more["logprobs"], num_tokens), lengths)
    match more:
        case {"top_tokens": tuple(top_tokens), "top_logprobs": likely}:
            its_widths = widths(len(top_tokens), num_tokens, lengths)
            if top_tokens and not 0 <= min(top_tokens) <= max(top_tokens) <= UINT32_MAX:
                raise WireError(f"a chunk has a top token that is not from 0 to {UINT32_MAX}")
            its["top_tokens"] = cut(top_tokens, its_widths)
            its["top_logprobs"] = cut(_logprobs(likely, len(top_tokens)), its_widths)
        case {"top_tokens": _} | {"top_logprobs": _}:
            raise WireError("top_tokens are integers, with top_logprobs beside them")
    match more:
        case {"text": list(texts)} if len(texts) == len(lengths) and {*map(type, texts)} <= {
            str,
            type(None),
        }:
            its["text"] = texts
        case {"text": _}:
            raise WireError("text is no array with a string or nil for each delta")
    return its


def _logprobs(packed: object, num_items: int) -> tuple[float, ...]:
    if not isinstance(packed, bytes):
        raise WireError("a chunk's logprobs are no bytes")
    logprobs = unpack_floats(packed, num_items)
    if not all(-inf < logprob <= 0 for logprob in logprobs):
        raise WireError("a chunk has a logprob that is not finite and at most 0")
    return logprobs
