"""How fast a peer runs a workload."""

from __future__ import annotations

import gc
import time

import torch

from bench.peers.peer import Peer
from bench.workload import Workload


def speed_of(peer: Peer, workload: Workload, device: str) -> float:
    """Tokens per second of one run. What others left behind is collected before it.

    Raises BenchError where the peer can't run it.
    """
    gc.collect()
    _synchronize(device)
    start = time.perf_counter()
    num_tokens = peer.run(workload)
    _synchronize(device)
    return num_tokens / (time.perf_counter() - start)


def _synchronize(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
