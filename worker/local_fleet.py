"""LocalFleet: a queue on this machine and workers that serve it, without a set-up."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence

from worker.embedded import EmbeddedServer
from worker.local_workers import LocalWorkers

_LEASE_SECONDS = 5.0
"""Of its workers: what one that is killed had costs a wait of this. Less than where a network is in
between, and still the time of several beats; they come from a thread that no step of the engine
holds up."""


class LocalFleetError(Exception):
    """Nothing serves the queue any more, and nothing will; the message says what is gone."""


class LocalFleet:
    """`url` is the server's; `workers` tells how many are alive."""

    def __init__(self, server: EmbeddedServer, workers: LocalWorkers) -> None:
        self.url = server.url
        self.workers = workers
        self._server = server

    def check(self) -> None:
        """Raises LocalFleetError where the server or all workers died and are given up."""
        if self._server.is_lost:
            raise LocalFleetError("the embedded server died, and could not be started again")
        if self.workers.are_all_dead:
            raise LocalFleetError(
                "the workers died; `rowmill worker` with the same model tells why, or their log"
            )


@contextlib.contextmanager
def local_fleet(
    model: str = "demo",
    *,
    workers: int = 1,
    max_rows: int = 64,
    queue: str = "rowmill",
    threads: int | None = None,
    drain_seconds: float | None = None,
    device: str = "auto",
    dtype: str | None = None,
    logs: Sequence[str] = (),
) -> Iterator[LocalFleet]:
    """Run an embedded server with temporary data, and so many workers of `queue` on it.

    Both are kept running until the context ends, and end with this process, even if it is killed.
    It gives the fleet when the server answers; the workers still load their model then.
    `max_rows`, `device`, `dtype` and `threads` are each worker's; without `threads` they share the
    cores. `drain_seconds`: how long what runs may go on at the end; None is a worker's default.
    `logs`: how they log, as options of `rowmill worker`. Raises EmbeddedServerError.
    """
    with EmbeddedServer() as server:
        arguments = ["--model", model, "--redis", server.url, "--queue", queue, "--quiet"]
        arguments += ["--lease", str(_LEASE_SECONDS)]
        arguments += ["--max-rows", str(max_rows), "--device", device]
        arguments += [] if dtype is None else ["--dtype", dtype]
        arguments += ["--threads", str(threads or max(1, num_cores() // workers))]
        arguments += logs
        if drain_seconds is not None:
            arguments += ["--drain-seconds", str(drain_seconds)]
        with LocalWorkers(arguments, workers) as local:
            yield LocalFleet(server, local)


def num_cores() -> int:
    """That this process may use, where the system tells."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
