"""Sighting: one look at a job."""

from dataclasses import dataclass

from jobs.errors import JobsError
from jobs.sampled_rows import SampledRows


@dataclass(frozen=True, slots=True)
class Sighting:
    """How a job looked at one moment.

    `newest_entry`: the ID of the last entry of its result stream. `outcome`: its rows, or why there
    will be none; None while it is under way.
    """

    newest_entry: str
    outcome: SampledRows | JobsError | None
