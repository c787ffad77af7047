"""The bench: engines take turns on each workload, in one process and on the same weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from bench.config import BenchConfig
from bench.controls import measure_controls
from bench.errors import BenchError
from bench.growth import measure_growth
from bench.machine import Machine
from bench.memory import measure_memory
from bench.model import BenchModel, bench_model, demo_model
from bench.names import TINY
from bench.peers import new_peer, what_is_missing
from bench.peers.rowmill import Rowmill
from bench.policy_cost import measure_policy_cost
from bench.prefixes import measure_prefixes
from bench.report import BenchReport
from bench.turns import Progress, take_turns
from bench.workload import Workload
from bench.workloads import build
from engine import Provenance


def run(config: BenchConfig, progress: Progress) -> BenchReport:
    """Measure what `config` asks for; `progress` is told what comes next.

    A peer or a part that fails is left out, and the report says so.
    """
    config.use_threads()
    left_out = {name: why for name in config.peers if (why := what_is_missing(name))}
    names = [name for name in config.peers if name not in left_out]
    model = bench_model(config)
    about, repeats = {}, {}
    provenance: dict[str, Provenance] = {}
    for its_model, workloads in _by_model(config, model):
        progress("loading the models")
        peers = [new_peer(name, its_model) for name in names]
        for workload in workloads:
            about[workload.name] = workload.summary()
            turns = take_turns(workload, peers, config, progress)
            repeats[workload.name] = turns.speeds
            left_out |= {f"{name} on {workload.name}": why for name, why in turns.failed.items()}
            for peer in peers:
                if isinstance(peer, Rowmill):
                    provenance[workload.name] = peer.engine.provenance
    report = BenchReport(
        machine=Machine.this(model.device, config.dtype),
        model=model.summary(),
        about=about,
        repeats=repeats,
        left_out=left_out,
        provenance=provenance,
    )
    return _with_parts(report, model, config, progress)


def _with_parts(
    report: BenchReport, model: BenchModel, config: BenchConfig, progress: Progress
) -> BenchReport:
    """The report with what is measured beside the workloads."""
    parts: dict[str, Callable[[], Any]] = {}
    if config.has_growth:
        parts["growth"] = lambda: measure_growth(model, config, progress)
    if config.has_policy_cost:
        parts["policy_cost"] = lambda: measure_policy_cost(config, progress)
    if config.has_controls:
        parts["controls"] = lambda: measure_controls(model, config, progress)
    if config.has_prefixes:
        parts["prefixes"] = lambda: measure_prefixes(model, config, progress)
    if config.has_memory:
        parts["memory"] = lambda: measure_memory(model, config)
    figures, left_out = {}, {}
    for name, measure in parts.items():
        progress(name)
        try:
            figures[name] = measure()
        except BenchError as error:
            left_out[name] = str(error)
    return dataclasses.replace(report, left_out={**report.left_out, **left_out}, **figures)


def _by_model(config: BenchConfig, model: BenchModel) -> list[tuple[BenchModel, list[Workload]]]:
    """The models that are needed, each with its workloads: `tiny` has one of its own."""
    names = [name for name in config.workloads if name != TINY]
    groups = [(model, names)] if names else []
    if TINY in config.workloads:
        groups.append((demo_model(config), [TINY]))
    return [
        (its_model, [build(name, its_model, is_quick=config.is_quick) for name in its_names])
        for its_model, its_names in groups
    ]
