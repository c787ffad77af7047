"""How much a queue bench measures."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class QueueBenchConfig:
    num_jobs: int = 4096
    """Of a turn with the largest batch; smaller batches and RQ's worker, which are slower, have
    fewer."""
    repeats: int = 3
    batches: tuple[int, ...] = (64, 8, 1)
    """Rows that the worker runs at once, one per job; the first is what is compared."""
    num_latencies: int = 200
    claim_sizes: tuple[int, ...] = (100, 10_000, 100_000)
    """Jobs that are queued when claims are timed."""
    num_claims: int = 200
    claim_rows: int = 64

    def __post_init__(self) -> None:
        assert min(self.claim_sizes) >= self.claim_rows

    @classmethod
    def quick(cls) -> QueueBenchConfig:
        """A smoke test; the figures mean nothing."""
        return cls(
            num_jobs=64,
            repeats=1,
            batches=(8, 1),
            num_latencies=3,
            claim_sizes=(8, 16),
            num_claims=3,
            claim_rows=8,
        )
