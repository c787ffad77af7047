"""`rowmill worker` in a process that is forked from one that has imported everything.

It is up in a quarter of a second, where one from nothing computes for two and a half: workers that
are killed every second would do little else.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from worker.cli import main

_FORKS = multiprocessing.get_context("forkserver")


def start_worker(arguments: Sequence[str], log: Path) -> ForkServerProcess:
    """Start a worker with these arguments; what it prints is added to `log`."""
    _FORKS.set_forkserver_preload(["pytest", "tests.integration.chaos.preloaded"])
    process = _FORKS.Process(target=_work, args=(list(arguments), log))
    process.start()
    return process


def _work(arguments: Sequence[str], log: Path) -> None:
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(output, sys.stdout.fileno())
    os.dup2(output, sys.stderr.fileno())
    # A storm that is killed itself leaves no worker behind.
    parent = ["--stop-with-parent", str(os.getppid())]
    sys.argv = ["rowmill", "worker", *parent, *arguments]
    main()
