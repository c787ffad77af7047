"""Whether the time per row grows with the rows of a request, or with the requests."""

from __future__ import annotations

import dataclasses
from statistics import median
from typing import Any

from bench.config import BenchConfig
from bench.model import BenchModel
from bench.peers.rowmill import Rowmill
from bench.speed import speed_of
from bench.turns import Progress
from bench.workload import Workload
from bench.workloads import samples

_FACTORS = (1, 2, 4)
_REQUESTS, _ROWS = 16, 8
_QUICK_REQUESTS, _QUICK_ROWS = 2, 2


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GrowthFigure:
    """Of `samples` with other numbers of requests or rows."""

    requests: int
    rows_per_request: int
    row_tokens: int
    """Generated per row."""
    repeats: list[float]
    """Tokens per second, once per repeat."""

    @property
    def speed(self) -> float:
        """Median tokens per second."""
        return median(self.repeats)

    @property
    def seconds_per_row(self) -> float:
        return self.row_tokens / self.speed

    def to_json(self) -> dict[str, Any]:
        return {
            "requests": self.requests,
            "rows_per_request": self.rows_per_request,
            "tokens_per_second": self.speed,
            "seconds_per_row": self.seconds_per_row,
            "repeats": self.repeats,
        }


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """Figures from the smallest workload up. The smallest is the same one in both."""

    rows: list[GrowthFigure]
    """With 1, 2 and 4 times the rows per request."""
    requests: list[GrowthFigure]
    """With 1, 2 and 4 times the requests."""

    def to_json(self) -> dict[str, Any]:
        return {
            "rows": [figure.to_json() for figure in self.rows],
            "requests": [figure.to_json() for figure in self.requests],
        }


def measure_growth(model: BenchModel, config: BenchConfig, progress: Progress) -> Growth:
    """The sizes take turns on one engine."""
    num_requests, num_rows = (
        (_QUICK_REQUESTS, _QUICK_ROWS) if config.is_quick else (_REQUESTS, _ROWS)
    )
    by_rows = [(num_requests, num_rows * factor) for factor in _FACTORS]
    by_requests = [(num_requests * factor, num_rows) for factor in _FACTORS]
    sizes = dict.fromkeys([*by_rows, *by_requests])  # the smallest once
    workloads = {size: _samples(model, size, config) for size in sizes}
    peer = Rowmill(model)
    peer.run(next(iter(workloads.values())).warm_up())
    repeats: dict[tuple[int, int], list[float]] = {size: [] for size in workloads}
    for turn in range(config.repeats):
        for size, workload in workloads.items():
            progress(f"growth: {size[0]} requests x {size[1]} rows, turn {turn + 1}")
            repeats[size].append(speed_of(peer, workload, config.device))
    figures = {size: _figure(size, workloads[size], repeats[size]) for size in workloads}
    return Growth(
        rows=[figures[size] for size in by_rows],
        requests=[figures[size] for size in by_requests],
    )


def _samples(model: BenchModel, size: tuple[int, int], config: BenchConfig) -> Workload:
    num_requests, num_rows = size
    workload = samples(model, num_requests=num_requests, num_samples=num_rows)
    return workload.quick(num_requests, num_rows) if config.is_quick else workload


def _figure(size: tuple[int, int], workload: Workload, repeats: list[float]) -> GrowthFigure:
    num_requests, num_rows = size
    return GrowthFigure(
        requests=num_requests,
        rows_per_request=num_rows,
        row_tokens=workload.requests[0].max_tokens,
        repeats=repeats,
    )
