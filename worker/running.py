"""Running: the claims whose requests are in the engine, and until when each may run."""

from __future__ import annotations

import time

from worker.claim import Claim


class Running:
    """By execution ID. Owned by the step thread."""

    def __init__(self) -> None:
        self._claims: dict[str, Claim] = {}
        self._ends: dict[str, tuple[float, str]] = {}
        """When it has to end, by this process's clock, and the reason that it fails with then."""

    @property
    def is_alone(self) -> bool:
        """Whether what runs must have no company."""
        return len(self._claims) == 1 and next(iter(self._claims.values())).is_alone

    def add(self, claim: Claim, deadline_seconds: float | None) -> None:
        """`deadline_seconds`: as the job says, for one that plain RQ pushed, without a deadline.

        Both limits count from moments of the server's clock, or the producer's: of a difference
        between two clocks only what went by since the claim is left to this one's.
        """
        self._claims[claim.execution_id] = claim
        deadline = claim.deadline
        if deadline is None and deadline_seconds is not None:
            deadline = (claim.created_at or claim.claimed_at) + deadline_seconds
        ends = []
        if deadline is not None:
            reason = "deadline_seconds: the deadline passed before the job was done"
            ends.append((deadline - claim.claimed_at, reason))
        if claim.timeout is not None:
            reason = f"timeout: the job ran longer than its {claim.timeout:g} seconds"
            ends.append((claim.timeout, reason))
        if ends:
            seconds, reason = min(ends)
            self._ends[claim.execution_id] = (time.monotonic() + seconds, reason)

    def pop(self, execution_id: str) -> Claim:
        self._ends.pop(execution_id, None)
        return self._claims.pop(execution_id)

    def pop_job(self, job_id: str) -> list[Claim]:
        """All executions of a job: there may be two for a moment, if the first was given up."""
        found = [claim for claim in self._claims.values() if claim.job_id == job_id]
        return [self.pop(claim.execution_id) for claim in found]

    def pop_overdue(self) -> list[tuple[Claim, str]]:
        """Those whose time is over, each with the reason."""
        now = time.monotonic()
        overdue = [(key, reason) for key, (end, reason) in self._ends.items() if end < now]
        return [(self.pop(execution_id), reason) for execution_id, reason in overdue]

    def pop_all(self) -> list[Claim]:
        """In the order in which they were claimed."""
        return [self.pop(execution_id) for execution_id in list(self._claims)]

    def __contains__(self, execution_id: object) -> bool:
        return execution_id in self._claims

    def __len__(self) -> int:
        return len(self._claims)
