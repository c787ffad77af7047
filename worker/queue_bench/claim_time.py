"""How long a claim takes, whatever waits behind what it takes."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from statistics import median

import redis

from jobs.names import queue_of
from worker.follow_ups import FollowUps
from worker.ledger import Ledger
from worker.queue_bench.config import QueueBenchConfig
from worker.queue_bench.leftovers import forget
from worker.queue_bench.rowmill_system import RowmillSystem

_NO_TENANT: tuple[str | None, ...] = (None,)
_TENANTS: tuple[str | None, ...] = ("a", "b")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ClaimTime:
    num_queued: int
    num_tenants: int
    """0: the jobs are nobody's."""
    milliseconds: float
    """Median."""


def measure_claims(
    url: str,
    connection: redis.Redis,
    queue: str,
    config: QueueBenchConfig,
    progress: Callable[[str], None],
) -> list[ClaimTime]:
    """Claims on queues of each size by turns; every claim is given back before the next."""
    waiting = []
    for tenants in (_NO_TENANT, _TENANTS):
        for size in config.claim_sizes:
            progress(f"claims: pushing {size:,} jobs")
            waiting.append(_Waiting(url, connection, f"{queue}-{size}", size, tenants, config))
    for turn in range(config.num_claims):
        progress(f"claims: {turn + 1} of {config.num_claims}")
        for its in waiting:
            its.time_a_claim()
    for its in waiting:
        its.forget()
    return [its.claim_time for its in waiting]


class _Waiting:
    """A queue on which jobs wait."""

    def __init__(
        self,
        url: str,
        connection: redis.Redis,
        queue: str,
        size: int,
        tenants: Sequence[str | None],
        config: QueueBenchConfig,
    ) -> None:
        self._connection = connection
        self._queue = queue if tenants == _NO_TENANT else f"{queue}-tenants"
        self._size = size
        self._tenants = tenants
        self._rows = config.claim_rows
        self._worker = f"{self._queue}-worker"
        self._seconds: list[float] = []
        self._ledger = Ledger(
            connection,
            [self._queue],
            self._worker,
            FollowUps(connection),
            lease=60,
            worker_ttl=60,
            result_ttl=60,
            failure_ttl=60,
            max_attempts=3,
            max_payload_bytes=2**20,
        )
        system = RowmillSystem(url, self._queue)
        self._job_ids = [
            job_id for its in tenants for job_id in system.submit_many(size // len(tenants), its)
        ]

    def time_a_claim(self) -> None:
        started = time.perf_counter()
        claims = self._ledger.claim(self._rows, is_idle=False)
        self._seconds.append(time.perf_counter() - started)
        assert len(claims) == self._rows
        assert self._ledger.give_back(claims) == self._rows

    def forget(self) -> None:
        for tenant in self._tenants:
            forget(self._connection, queue_of(self._queue, tenant), self._job_ids)
        keys = (f"rowmill:{kind}:{self._queue}" for kind in ("turns", "bell"))
        self._connection.unlink(*keys, f"rq:worker:{self._worker}:executions")

    @property
    def claim_time(self) -> ClaimTime:
        return ClaimTime(
            num_queued=self._size,
            num_tenants=0 if self._tenants == _NO_TENANT else len(self._tenants),
            milliseconds=1e3 * median(self._seconds),
        )
