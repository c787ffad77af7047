"""Overview: queues, workers and recent failures at one moment, as plain data."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueView:
    """A queue, or what a tenant has in it.

    `oldest_seconds`: how long the first of its jobs waits by now. `num_scheduled`: those for later,
    and those between two attempts. The ended ones count for as long as the server keeps them.
    """

    queue: str
    tenant: str | None
    num_waiting: int
    num_running: int
    num_scheduled: int
    num_finished: int
    num_failed: int
    num_cancelled: int
    oldest_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerView:
    """A worker, as its record tells it; what an older worker does not tell is None.

    `heartbeat_seconds`: how long ago its last sign of life was, by the server's clock; past `lease`
    it counts as dead. `model`: the fingerprint. The rates are those between its last two beats.
    `kv_tokens`: what of the KV budget is taken, the prefix cache left out. Counts are since its
    start.
    """

    name: str
    host: str | None = None
    pid: int | None = None
    queues: tuple[str, ...] = ()
    state: str | None = None
    model: str | None = None
    model_name: str | None = None
    running_rows: int | None = None
    max_rows: int | None = None
    tokens_per_second: float | None = None
    prompt_tokens_per_second: float | None = None
    kv_tokens: int | None = None
    kv_budget_tokens: int | None = None
    reproducible: bool | None = None
    heartbeat_seconds: float | None = None
    lease: float | None = None
    num_finished: int = 0
    num_failed: int = 0
    late_results: int = 0
    memory_shortages: int = 0

    @property
    def is_silent(self) -> bool:
        """Whether it has been silent for longer than its lease."""
        known = (self.heartbeat_seconds, self.lease)
        return None not in known and known[0] > known[1]  # type: ignore[operator]


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureView:
    """A job that failed. `reason`: its first line. `at`: Unix time, by its worker's clock."""

    job_id: str
    queue: str
    tenant: str | None
    at: float | None
    worker: str | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    num_waiting: int
    num_running: int
    num_failed: int
    num_finished: int
    num_workers: int
    running_rows: int
    max_rows: int
    tokens_per_second: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """What is shown is bounded: `num_queues_left_out` and `num_workers_left_out` say how much is
    not, of queues those with the fewest jobs waiting. `now`: Unix time by the server's clock."""

    now: float
    queues: tuple[QueueView, ...]
    workers: tuple[WorkerView, ...]
    failures: tuple[FailureView, ...]
    num_queues_left_out: int = 0
    num_workers_left_out: int = 0

    @property
    def totals(self) -> Totals:
        """Of what is shown; workers that are silent don't count, as they run nothing more."""
        workers = [worker for worker in self.workers if not worker.is_silent]
        return Totals(
            num_waiting=sum(queue.num_waiting for queue in self.queues),
            num_running=sum(queue.num_running for queue in self.queues),
            num_failed=sum(queue.num_failed for queue in self.queues),
            num_finished=sum(queue.num_finished for queue in self.queues),
            num_workers=len(workers),
            running_rows=sum(worker.running_rows or 0 for worker in workers),
            max_rows=sum(worker.max_rows or 0 for worker in workers),
            tokens_per_second=sum(worker.tokens_per_second or 0.0 for worker in workers),
        )
