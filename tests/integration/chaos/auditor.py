"""Auditor: at any moment, every job stands in exactly one place, and all keys agree on which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Set

from tests.integration.chaos.snapshot import PLACES, Snapshot

PLACE_OF = {
    "queued": "queue",
    "started": "wip",
    "scheduled": "scheduled",
    "finished": "finished",
    "failed": "failed",
    "stopped": "failed",
    "canceled": "canceled",
}
STATES_WITHOUT_JOBS = {"idle", "started", "?"}
"""As RQ's workers begin: their record has no state at first, which RQ shows as `?`."""
DONE = {"finished", "failed", "stopped", "canceled"}


class Auditor:
    """Checks snapshots; remembers which jobs had ended, since that is for good."""

    def __init__(self) -> None:
        self.num_looks = 0
        self._ended: dict[str, str] = {}
        self.unforgotten: set[str] = set()
        """Executions whose job RQ's own clean-up took back: it leaves their records to expire."""

    def check(self, snapshot: Snapshot, unsure: Set[str]) -> None:
        """Raises AssertionError with all that is wrong.

        The snapshot is to cover all jobs, except those of which nobody knows at the moment whether
        they are there, as their push or removal is under way: `unsure`.
        """
        wrong = [
            *self._misplaced(snapshot),
            *_strangers(snapshot, unsure),
            *_odd_executions(snapshot),
            *self._odd_workers(snapshot),
            *self._revived(snapshot),
        ]
        assert not wrong, "\n".join(map(str, wrong[:20]))
        self.num_looks += 1

    def _misplaced(self, snapshot: Snapshot) -> list[str]:
        """Jobs that stand elsewhere than their status says, or have a wrong number of results."""
        found = {place: Counter(job_ids) for place, job_ids in snapshot.places.items()}
        wrong = []
        for job_id, status in snapshot.statuses.items():
            places = [place for place in PLACES for _ in range(found[place][job_id])]
            if places != [PLACE_OF.get(status)]:
                wrong.append(f"{job_id} is {status or 'missing'!r}, and stands in {places}")
            if snapshot.num_results[job_id] != (status in DONE):
                wrong.append(f"{job_id} is {status}, with {snapshot.num_results[job_id]} results")
        return wrong

    def _odd_workers(self, snapshot: Snapshot) -> list[str]:
        """Workers whose record is not what the executions say."""
        wrong = []
        for name, worker in snapshot.workers.items():
            its = {key for key, each in snapshot.executions.items() if each.worker == name}
            if worker.executions - self.unforgotten != its:
                odd = sorted(worker.executions ^ its)
                wrong.append(f"worker {name} lists other executions than it has: {odd}")
            if worker.state not in ({"busy"} if worker.executions else STATES_WITHOUT_JOBS):
                wrong.append(
                    f"worker {name} is {worker.state} with {len(worker.executions)} executions"
                )
        return wrong

    def _revived(self, snapshot: Snapshot) -> list[str]:
        """Jobs that had ended, and are something else now."""
        before, self._ended = (
            self._ended,
            {job_id: status for job_id, status in snapshot.statuses.items() if status in DONE},
        )
        return [
            f"{job_id} was {before[job_id]} and is {status}"
            for job_id, status in snapshot.statuses.items()
            if before.get(job_id, status) != status
        ]


def _strangers(snapshot: Snapshot, unsure: Set[str]) -> list[str]:
    """Entries of jobs that were never pushed, or are gone."""
    return [
        f"{job_id} stands in {place}, and is no job"
        for place, job_ids in snapshot.places.items()
        for job_id in job_ids
        if job_id not in snapshot.statuses and job_id not in unsure
    ]


def _odd_executions(snapshot: Snapshot) -> list[str]:
    return [
        f"{composite} is not the same to all: {execution}"
        for composite, execution in snapshot.executions.items()
        if not execution.is_listed
        or not execution.worker
        or execution.worker != execution.worker_of_job
    ]
