"""What a line asks for, whatever its format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobs.dataset.errors import LineError
from jobs.errors import brief
from jobs.sampling_fields import SamplingFields

_OF_RUN = frozenset({"logprobs", "top_logprobs", "logprobs_mode", "return_prompt_logprobs"})
"""What parts have columns for: the same for all lines."""
PARAMETERS = (
    "num_samples",
    "seed",
    *(name for name in SamplingFields.model_fields if name not in _OF_RUN),
)
"""What a line may say for itself instead of the run, in a column of that name."""

MAX_ID_CHARS = 512
# Up to here a float64 tells all integers apart.
_MAX_EXACT = 2**53


@dataclass(frozen=True, slots=True, kw_only=True)
class LineRequest:
    """Its prompt and parameters as they were read, without those that are None.

    Both are checked where a job is made of them. `names`: what the line calls the job's fields.
    """

    prompt: object
    parameters: Mapping[str, Any]
    names: Mapping[str, str]


def id_of(value: object, column: str) -> str | None:
    """A line's ID: a string, or an integer in decimal; None stays None.

    Raises LineError for anything else. Integers may come as floats, as pandas keeps a column of
    integers with gaps.
    """
    if value is None:
        return None
    value = whole(value)
    if type(value) is int and value.bit_length() <= 64:
        return str(value)
    if isinstance(value, str) and 1 <= len(value) <= MAX_ID_CHARS:
        return value
    limit = f"a string of 1 to {MAX_ID_CHARS} characters or an integer of at most 64 bits"
    raise LineError(f"{column}: {brief(value)} is not allowed; it must be {limit}")


def whole(value: object) -> object:
    """The integer that a float stands for; anything else as it is."""
    if type(value) is float and value.is_integer() and abs(value) <= _MAX_EXACT:
        return int(value)
    return value
