"""Everything that `jobs.dataset` raises on purpose.

DatasetError (JobsError)
├── InputFileError      an input file stops the run
└── LineError           a line gives no input; the reader makes a BadLine of it
"""

from __future__ import annotations

from jobs.errors import JobsError


class DatasetError(JobsError):
    """The base of all errors of this package."""


class InputFileError(DatasetError):
    """An input file stops the run. `location` names the file and, where it is one's, the line."""

    def __init__(self, location: str, reason: str) -> None:
        super().__init__(location, reason)
        self.location = location
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.location}: {self.reason}"


class LineError(DatasetError):
    """A line gives no input, for this reason. Never leaves the package: see `BadLine`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason
