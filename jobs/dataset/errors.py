"""Everything that `jobs.dataset` raises on purpose.

DatasetError (JobsError)
├── InputFileError (ValueError)      an input file stops the run
├── LineError                        a line gives no input; the reader makes a BadLine of it
├── FolderError (ValueError)         a folder is not a run's, or is in use
├── ConfigDiffersError (ValueError)  the folder holds another run
├── StorageError                     a file of the folder can't be read or written
├── ModelDiffersError                workers serve another model than that of the rows there
└── TooManyFailuresError             more inputs failed than the run was to bear
"""

from __future__ import annotations

from jobs.errors import JobsError


class DatasetError(JobsError):
    """The base of all errors of this package."""


class _PlaceError(DatasetError):
    """Something is wrong at a `place`: a file, a line of it, or a folder."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(place, reason)
        self.place = place
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


class InputFileError(_PlaceError, ValueError):
    """An input file stops the run. `place` names the file and, where it is one's, the line."""


class LineError(DatasetError):
    """A line gives no input, for this reason. Never leaves the package: see `BadLine`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class FolderError(_PlaceError, ValueError):
    """A folder, or what is in it, is not what a run can go on with. It is left as it is."""


class StorageError(_PlaceError):
    """The system does not let a file of the run be read or written, as on a full disk."""

    def __str__(self) -> str:
        return f"{self.place} can't be read or written: {self.reason}"


class ConfigDiffersError(DatasetError, ValueError):
    """The folder holds another run; `differences` has a line for all that is not the same."""

    def __init__(self, path: str, differences: tuple[str, ...]) -> None:
        super().__init__(path, differences)
        self.path = path
        self.differences = differences

    def __str__(self) -> str:
        lines = "".join(f"\n  {difference}" for difference in self.differences)
        return (
            f"{self.path} holds another run, which is left as it is:{lines}\n"
            "take another folder, --extend for more samples, or --overwrite to delete that run"
        )


class ModelDiffersError(DatasetError):
    """Rows would be of another model than those of the folder; both by fingerprint."""

    def __init__(self, path: str, expected: str, found: str) -> None:
        super().__init__(path, expected, found)
        self.path = path
        self.expected = expected
        self.found = found

    def __str__(self) -> str:
        return (
            f"{self.path} holds rows of the model with the fingerprint {self.expected}, and a "
            f"worker of the queue serves the one with {self.found}: no more rows were taken"
        )


class TooManyFailuresError(DatasetError):
    """`num_failed` of the `num_inputs` inputs that are done have failed; `last`: where and why the
    last of them did, if it was this time."""

    def __init__(self, num_failed: int, num_inputs: int, last: str | None = None) -> None:
        super().__init__(num_failed, num_inputs, last)
        self.num_failed = num_failed
        self.num_inputs = num_inputs
        self.last = last

    def __str__(self) -> str:
        text = f"{self.num_failed} of {self.num_inputs} inputs failed, which is too many"
        return text if self.last is None else f"{text}; the last: {self.last}"
