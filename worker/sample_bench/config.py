"""How much a sample bench measures."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SampleBenchConfig:
    questions: int = 1500
    """Inputs of a turn with the shipped model."""
    randoms: int = 140
    """Inputs of a turn with the bench's random model, whose steps are heavier."""
    num_samples: int = 8
    """Rows of an input."""
    max_rows: int = 64
    threads: int | None = None
    """CPU threads of the engine; None: the cores that there are."""
    repeats: int = 3
    memory_inputs: tuple[int, ...] = (20_000, 100_000)
    is_quick: bool = False
    """A toy in place of the random model."""

    @classmethod
    def quick(cls) -> SampleBenchConfig:
        """A smoke test; the figures mean nothing."""
        return cls(
            questions=6,
            randoms=3,
            num_samples=2,
            max_rows=8,
            repeats=1,
            memory_inputs=(30, 60),
            is_quick=True,
        )
