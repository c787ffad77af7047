"""Errors carry what they say."""

import pickle

import pytest

import jobs
from jobs import JobsError

ERRORS = [
    jobs.InvalidJobError("seed", "-1", "an integer from 0"),
    jobs.WireError("not msgpack"),
    jobs.ServerUnavailableError("localhost:6379", "refused"),
    jobs.LoginRefusedError("localhost:6379", "wrong password"),
    jobs.PermissionDeniedError("localhost:6379", "no permissions to run the 'get' command"),
    jobs.QueueFullError("rowmill", 10, ("a",)),
    jobs.JobExistsError(("a", "b")),
    jobs.JobNotFoundError("a"),
    jobs.JobFailedError("a", "out of memory"),
    jobs.JobCancelledError("a"),
    jobs.StreamDivergedError("a", 0, 3),
    jobs.ResultTimeoutError("a", 2.5),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_survives_pickling(error: JobsError) -> None:
    copy = pickle.loads(pickle.dumps(error))

    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)


def test_every_exported_error_is_tried_above() -> None:
    exported = {getattr(jobs, name) for name in jobs.__all__ if name.endswith("Error")}
    assert exported == {JobsError, *map(type, ERRORS)}


def test_standard_handlers_catch_what_they_expect() -> None:
    assert issubclass(jobs.InvalidJobError, ValueError)
    assert issubclass(jobs.ResultTimeoutError, TimeoutError)
