"""The name that jobs carry, and what it stands for in a process that cannot run them."""

from typing import Any, NoReturn

from jobs.errors import JobsError

FUNCTION_NAME = "jobs.generate"
"""The function name of every job: the only one that a Rowmill worker accepts."""


def generate(**fields: Any) -> NoReturn:
    """Fails: a stock RQ worker that takes a job from Rowmill's queue calls this."""
    raise JobsError("only a Rowmill worker (`rowmill worker`) can run this job, not a plain RQ one")
