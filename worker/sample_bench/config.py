"""How much a sample bench measures."""

from __future__ import annotations

import dataclasses

from bench.errors import BenchConfigError

QUESTIONS, RANDOM = "questions", "random"
WORKLOADS = (QUESTIONS, RANDOM)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SampleBenchConfig:
    """Raises BenchConfigError naming the first bad field."""

    workloads: tuple[str, ...] = WORKLOADS
    questions: int = 1000
    """Inputs of a turn with the shipped model."""
    randoms: int = 80
    """Inputs of a turn with the bench's random model, whose steps are heavier."""
    num_samples: int = 8
    """Rows of an input, where speed is measured."""
    max_rows: int = 64
    threads: int | None = None
    """CPU threads of the engine; None: the cores that there are."""
    repeats: int = 3
    memory_inputs: tuple[int, ...] = (20_000, 100_000)
    """Of the runs in which memory is measured, with a row each."""
    is_quick: bool = False
    """A toy in place of the random model."""

    def __post_init__(self) -> None:
        if unknown := [name for name in self.workloads if name not in WORKLOADS]:
            known = ", ".join(WORKLOADS)
            raise BenchConfigError(f"workloads: {unknown[0]!r} is unknown; there are {known}")

    @classmethod
    def quick(cls) -> SampleBenchConfig:
        """A smoke test; the figures mean nothing."""
        return cls(
            workloads=(RANDOM,),
            questions=6,
            randoms=3,
            num_samples=2,
            max_rows=8,
            repeats=1,
            memory_inputs=(12,),
            is_quick=True,
        )
