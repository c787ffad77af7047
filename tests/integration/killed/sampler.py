"""SamplingRuns in processes of their own, each killed at one system call.

`python -m tests.integration.killed.sampler` forks a process for every line of JSON that it reads:
it has imported everything before. It answers with the exit code, negative for a signal.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import pandas  # noqa: F401, by pyarrow's first table where it is installed

from jobs.dataset import DatasetError, SamplingRun

# The methods and functions that change what is on the disk or on the server, by their last names.
_CALLS = {
    "mkdir",
    "open",
    "write",
    "writelines",
    "truncate",
    "fsync",
    "rename",
    "unlink",
    "sendall",
}
_CALLS_OF_PYARROW = {"write_table", "add_key_value_metadata"}
REFUSED = 7
_IN_FLIGHT = 16
"""So that two jobs are pushed at a time."""


class Samplers:
    """Runs them one after the other."""

    def __init__(self, url: str, queue: str) -> None:
        self._server = {"url": url, "queue": queue}
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Samplers:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.communicate()

    def run(self, inputs: Path, out: Path, *, dies_at: int | None = None, **options: Any) -> bool:
        """Whether it came to its end; it is killed at the call of that number, from 0.

        A run that the folder refuses raises PermissionError.
        """
        line = {**self._server, "inputs": str(inputs), "out": str(out)}
        line |= {"dies_at": dies_at, "options": options}
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(line) + "\n")
        self._process.stdin.flush()
        code = int(self._process.stdout.readline())
        if code == REFUSED:
            raise PermissionError
        assert code in (0, -signal.SIGKILL), code
        return code == 0


def _sample(
    url: str, queue: str, inputs: str, out: str, dies_at: int | None, options: dict[str, Any]
) -> None:
    if dies_at is not None:
        sys.setprofile(_Executioner(dies_at))
    with SamplingRun(inputs, out, **options) as run:
        for _ in run.sample(url, queue=queue, in_flight=_IN_FLIGHT):
            pass


class _Executioner:
    """A profiler that kills its process before a call."""

    def __init__(self, dies_at: int) -> None:
        self._num_left = dies_at

    def __call__(self, frame: FrameType, event: str, arg: Any) -> None:
        if event == "c_call":
            is_counted = arg.__name__ in _CALLS
        else:
            is_counted = event == "call" and frame.f_code.co_name in _CALLS_OF_PYARROW
        if is_counted:
            if not self._num_left:
                os.kill(os.getpid(), signal.SIGKILL)
            self._num_left -= 1


def main() -> None:
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            code = 1
            try:
                _sample(**json.loads(line))
                code = 0
            except DatasetError as error:
                print(error, file=sys.stderr)
                code = REFUSED
            finally:
                os._exit(code)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
