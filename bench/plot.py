"""The figures of a bench as a picture."""

from __future__ import annotations

from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.names import FLOOR, GENERATE, GENERATE_BATCH, ROWMILL, SEQUENTIAL
from bench.report import BenchReport

# Colours of Okabe and Ito's palette, which the colour-blind can tell apart.
_STYLES = {
    SEQUENTIAL: ("sequential engine", "#999999"),
    GENERATE: ("transformers generate", "#E69F00"),
    GENERATE_BATCH: ("transformers generate_batch", "#CC79A7"),
    ROWMILL: ("Rowmill", "#0072B2"),
}
_GROUP_WIDTH = 0.84


def draw(report: BenchReport, path: Path) -> None:
    """Bars of tokens per second relative to the sequential engine, with the floor as a line.

    `path` ends in one of PLOT_SUFFIXES. Raises OSError where it can't be written.
    """
    figure = Figure(figsize=(9, 4.8), layout="constrained")
    axes = figure.subplots()
    engines = [engine for engine in _STYLES if engine in report.engines]
    for place, engine in enumerate(engines):
        _draw_bars(axes, report, engine, place, len(engines))
    _draw_floor(axes, report)
    _decorate(axes, report)
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    # Text stays text, and the same figures give the same file.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "rowmill"}):
        metadata = {"Date": None} if path.suffix == ".svg" else None
        figure.savefig(path, dpi=160, metadata=metadata)


def _draw_bars(axes: Axes, report: BenchReport, engine: str, place: int, num_engines: int) -> None:
    label, colour = _STYLES[engine]
    width = _GROUP_WIDTH / num_engines
    offset = (place - (num_engines - 1) / 2) * width
    heights = _heights(report, engine)
    bars = axes.bar(
        [group + offset for group in range(len(heights))],
        heights,
        width=0.92 * width,
        label=label,
        color=colour,
    )
    axes.bar_label(bars, fmt=_times, fontsize=8, padding=2)


def _draw_floor(axes: Axes, report: BenchReport) -> None:
    if FLOOR not in report.engines:
        return
    heights = _heights(report, FLOOR)
    axes.hlines(
        heights,
        [group - _GROUP_WIDTH / 2 for group in range(len(heights))],
        [group + _GROUP_WIDTH / 2 for group in range(len(heights))],
        label="linear layers alone (the floor)",
        color="black",
        linewidth=1.5,
    )


def _decorate(axes: Axes, report: BenchReport) -> None:
    axes.set_title(f"Tokens per second, relative to the sequential engine\n{report.machine}")
    axes.set_ylabel("times the sequential engine")
    names = [workload.replace("_", " ") for workload in report.repeats]
    axes.set_xticks(range(len(names)), names)
    axes.tick_params(axis="x", length=0)
    axes.margins(y=0.12)
    axes.spines[["top", "right"]].set_visible(False)
    axes.yaxis.grid(True, color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)


def _heights(report: BenchReport, engine: str) -> list[float]:
    """Per workload; 0 where it was not measured."""
    return [report.ratio(workload, engine, SEQUENTIAL) or 0.0 for workload in report.repeats]


def _times(ratio: float) -> str:
    if ratio == 0.0:
        return ""
    return f"{ratio:.1f}" if ratio < 10 else f"{ratio:.0f}"
