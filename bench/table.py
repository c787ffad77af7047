"""The figures of a bench as tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from statistics import median

from rich.console import RenderableType
from rich.table import Table

from bench.controls import ControlsFigures
from bench.growth import Growth
from bench.memory import MemoryFigures
from bench.names import FLOOR, ROWMILL
from bench.policy_cost import PolicyCost
from bench.prefixes import PrefixFigure
from bench.report import BenchReport

_HEADINGS = {
    "transformers_generate": "transformers\ngenerate",
    "transformers_generate_batch": "transformers\ngenerate_batch",
}
_MEGABYTE = 1e6


def tables(report: BenchReport) -> Iterator[RenderableType]:
    """Everything that is to be printed, from top to bottom."""
    parameters = report.model["parameters"] / 1e6
    yield str(report.machine)
    yield f"a random model of {parameters:.1f} million parameters; for tiny, the shipped model"
    for policy in dict.fromkeys(its.policy for its in report.provenance.values()):
        yield f"Rowmill's policy for equal bits: {policy}"
    yield "\nTokens per second, median"
    yield _speeds(report)
    if ROWMILL in report.engines and len(report.engines) > 1:
        yield "\nRowmill is"
        yield _ratios(report)
    for name, why in report.left_out.items():
        yield f"left out: {name}: {why}"
    if report.growth is not None:
        yield from _growth(report.growth)
    if report.policy_cost:
        yield from _policy_cost(report.policy_cost)
    if report.controls is not None:
        yield from _controls(report.controls)
    if report.prefixes:
        yield from _prefixes(report.prefixes)
    if report.memory is not None:
        yield from _memory(report.memory)


def _speeds(report: BenchReport) -> Table:
    table = _table(["", *map(_heading, report.engines)])
    for workload in report.repeats:
        speeds = [report.speed(workload, engine) for engine in report.engines]
        table.add_row(workload, *("" if speed is None else f"{speed:,.0f}" for speed in speeds))
    return table


def _ratios(report: BenchReport) -> Table:
    others = [engine for engine in report.engines if engine != ROWMILL]
    table = _table(["", *map(_ratio_heading, others)])
    for workload in report.repeats:
        cells = [_ratio(report.ratio(workload, ROWMILL, other), other) for other in others]
        table.add_row(workload, *cells)
    return table


def _growth(growth: Growth) -> Iterator[RenderableType]:
    yield "\nRowmill on samples with more rows per request, then with more requests"
    table = _table(["requests x rows", "tokens/s", "ms per row", "time per row, relative"])
    for figures in (growth.rows, growth.requests):
        for figure in figures:
            table.add_row(
                f"{figure.requests} x {figure.rows_per_request}",
                f"{figure.speed:,.0f}",
                f"{1e3 * figure.seconds_per_row:.1f}",
                f"{figure.seconds_per_row / figures[0].seconds_per_row:.2f}",
            )
        table.add_section()
    yield table


def _policy_cost(costs: Mapping[str, PolicyCost]) -> Iterator[RenderableType]:
    policies = next(iter(costs.values())).policies
    yield "\nTokens per second of Rowmill in torch's way, with its policy for bits and without"
    yield f"(on: {policies['on']}, off: {policies['off']})"
    table = _table(["", "on", "off", "on / off"])
    for workload, cost in costs.items():
        table.add_row(
            workload, f"{median(cost.on):,.0f}", f"{median(cost.off):,.0f}", f"{cost.ratio:.3f}"
        )
    yield table


def _controls(figures: ControlsFigures) -> Iterator[RenderableType]:
    yield f"\nMilliseconds per step of {figures.rows} rows"
    table = _table(["rows", "ms per step"])
    for kind in figures.turns:
        table.add_row(kind, f"{figures.milliseconds(kind):.2f}")
    table.add_section()
    for pair, ratio in figures.ratios().items():
        table.add_row(pair, f"{ratio:.3f}")
    yield table


def _prefixes(figures: Mapping[str, PrefixFigure]) -> Iterator[RenderableType]:
    yield "\nRequests of one token each, with the prefix cache and without"
    headings = ["prompts", "common + own", "computed", "found", "on, ms", "off, ms", "on / off"]
    table = _table(headings)
    for kind, figure in figures.items():
        table.add_row(
            f"{figure.requests} {kind}",
            f"{figure.common_tokens} + {figure.own_tokens}",
            f"{figure.computed_tokens:,}",
            f"{figure.found_tokens:,}",
            f"{1e3 * median(figure.on):,.1f}",
            f"{1e3 * median(figure.off):,.1f}",
            f"{figure.ratio:.3f}",
        )
    yield table


def _memory(memory: MemoryFigures) -> Iterator[RenderableType]:
    prompt, new = memory.kv[0].prompt_tokens, memory.kv[0].new_tokens
    yield f"\nKeys and values in MB of one prompt of {prompt} tokens and {new} generated per row"
    table = _table(["rows", "Rowmill", "prompt + rows x new", "rows x (prompt + new)"])
    for figure in memory.kv:
        sizes = (figure.bytes, figure.shared_bytes, figure.copied_bytes)
        table.add_row(str(figure.rows), *map(_megabytes, sizes))
    yield table
    yield "\nBy how much long_prompt makes a process grow at most, in MB. Rowmill runs all its rows"
    yield "at once, the sequential engine those of one request"
    peaks = memory.long_prompt_peak_bytes
    table = _table(["", *peaks])
    table.add_row("long_prompt", *map(_megabytes, peaks.values()))
    yield table


def _table(headings: list[str]) -> Table:
    table = Table(headings[0])
    for heading in headings[1:]:
        table.add_column(heading, justify="right")
    return table


def _heading(engine: str) -> str:
    return _HEADINGS.get(engine, engine)


def _ratio_heading(other: str) -> str:
    return "of the floor" if other == FLOOR else f"times\n{_heading(other)}"


def _ratio(ratio: float | None, other: str) -> str:
    if ratio is None:
        return ""
    return f"{100 * ratio:.0f} %" if other == FLOOR else f"{ratio:.1f}"


def _megabytes(size: int) -> str:
    return f"{size / _MEGABYTE:,.1f}"
