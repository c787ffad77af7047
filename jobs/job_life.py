"""JobLife: what became of a job and when, as the server tells it."""

from dataclasses import dataclass, field

from jobs.job_status import JobStatus
from jobs.life_event import LifeEvent
from jobs.life_phase import LifePhase, phases_of


@dataclass(frozen=True, slots=True, kw_only=True)
class JobLife:
    """A job as it stands, and how it came there. Times are Unix times by the server's clock, but
    `created_at`, which is its producer's.

    `num_cut`: how many events at the beginning are no longer known. `events` of a job that plain RQ
    pushed begin with its claim. `prompt_tokens`: their number. `queue` and `tenant`: where it was
    pushed. `attempts`: how many there were, of a job that has not ended. Of its last result:
    `worker`, `model` (the fingerprint), `reproducible`, `num_rows`, `num_tokens` and `error`. What
    is not known, or not what it should be, is None.
    """

    job_id: str
    status: JobStatus
    now: float
    queue: str | None = None
    tenant: str | None = None
    created_at: float | None = None
    enqueued_at: float | None = None
    deadline: float | None = None
    prompt_tokens: int | None = None
    num_samples: int | None = None
    attempts: int | None = None
    retries_left: int | None = None
    events: tuple[LifeEvent, ...] = ()
    num_cut: int = 0
    worker: str | None = None
    model: str | None = None
    reproducible: bool | None = None
    num_rows: int | None = None
    num_tokens: int | None = None
    error: str | None = None
    phases: tuple[LifePhase, ...] = field(init=False)

    def __post_init__(self) -> None:
        phases = tuple(
            phases_of(
                self.events,
                self.status,
                pushed_at=None if self.num_cut else self.created_at,
                enqueued_at=self.enqueued_at,
            )
        )
        object.__setattr__(self, "phases", phases)
