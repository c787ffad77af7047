"""Engines take turns on a workload, so that what else the machine does meets all of them alike."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from bench.config import BenchConfig
from bench.errors import BenchError
from bench.peers.peer import Peer
from bench.speed import speed_of
from bench.workload import Workload

Progress = Callable[[str], None]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Turns:
    speeds: dict[str, list[float]]
    """Per engine, tokens per second of each of its turns."""
    failed: dict[str, str]
    """Engines that could not run the workload, and why."""


def take_turns(
    workload: Workload, peers: Sequence[Peer], config: BenchConfig, progress: Progress
) -> Turns:
    """Every peer warms up on a short workload, and then has its number of turns.

    What is slow only once, such as a library's first call, is not to be measured. A peer that
    fails has no more turns, and no figures.
    """
    speeds: dict[str, list[float]] = {peer.name: [] for peer in peers}
    failed: dict[str, str] = {}
    for turn in range(max(config.repeats_of(peer.name) for peer in peers) + 1):
        for peer in peers:
            if peer.name in failed or turn > config.repeats_of(peer.name):
                continue
            progress(f"{workload.name}: {peer.name}, " + (f"turn {turn}" if turn else "warm-up"))
            try:
                speed = speed_of(peer, workload if turn else workload.warm_up(), config.device)
            except BenchError as error:
                failed[peer.name] = str(error)
                del speeds[peer.name]
                continue
            if turn:
                speeds[peer.name].append(speed)
    return Turns(speeds=speeds, failed=failed)
