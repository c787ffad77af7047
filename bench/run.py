"""The bench: engines take turns on each workload, in one process and on the same weights."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import torch

from bench.config import BenchConfig
from bench.machine import Machine
from bench.memory import measure_memory
from bench.model import BenchModel, bench_model, demo_model
from bench.names import TINY
from bench.peers import new_peer, what_is_missing
from bench.peers.peer import Peer
from bench.report import BenchReport
from bench.workload import Workload
from bench.workloads import build

Progress = Callable[[str], None]


def run(config: BenchConfig, progress: Progress) -> BenchReport:
    """Measure what `config` asks for; `progress` is told what comes next.

    Raises BenchError where a peer fails.
    """
    config.use_threads()
    left_out = {name: why for name in config.peers if (why := what_is_missing(name))}
    names = [name for name in config.peers if name not in left_out]
    model = bench_model(config)
    about, repeats = {}, {}
    for its_model, workloads in _by_model(config, model):
        progress("loading the models")
        peers = [new_peer(name, its_model) for name in names]
        for workload in workloads:
            about[workload.name] = workload.summary()
            repeats[workload.name] = _measure(workload, peers, config, progress)
    if config.has_memory:
        progress("memory")
    return BenchReport(
        machine=Machine.this(model.device, config.dtype),
        model=model.summary(),
        about=about,
        repeats=repeats,
        left_out=left_out,
        memory=measure_memory(model, config) if config.has_memory else None,
    )


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


def _measure(
    workload: Workload, peers: Sequence[Peer], config: BenchConfig, progress: Progress
) -> dict[str, list[float]]:
    """Tokens per second of every repeat. Engines take turns, so that what else the machine does
    meets all of them alike."""
    speeds: dict[str, list[float]] = {peer.name: [] for peer in peers}
    for peer in peers:
        progress(f"{workload.name}: warming up {peer.name}")
        peer.run(workload.warm_up())
    for turn in range(max(config.repeats_of(peer.name) for peer in peers)):
        for peer in peers:
            if turn < config.repeats_of(peer.name):
                progress(f"{workload.name}: turn {turn + 1}, {peer.name}")
                speeds[peer.name].append(_speed(peer, workload, config.device))
    return speeds


def _speed(peer: Peer, workload: Workload, device: str) -> float:
    _synchronize(device)
    start = time.perf_counter()
    num_tokens = peer.run(workload)
    _synchronize(device)
    return num_tokens / (time.perf_counter() - start)


def _synchronize(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
