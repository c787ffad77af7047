"""By how much a workload makes a process grow: `python -m bench.resident JSON`, in a fresh one.

The JSON is the name of a peer and fields of a BenchConfig; what is printed is a number of bytes.
"""

from __future__ import annotations

import json
import sys

import engine  # noqa: F401  (before what imports torch, whose environment it prepares)
from bench.config import BenchConfig
from bench.model import bench_model
from bench.peers import new_peer
from bench.process_size import peak_size, size
from bench.workloads import build


def growth(peer_name: str, config: BenchConfig) -> int:
    """Bytes from the size of the process with its model loaded and warm to its peak."""
    config.use_threads()
    model = bench_model(config)
    workload = build("long_prompt", model, is_quick=config.is_quick)
    peer = new_peer(peer_name, model)
    peer.run(workload.warm_up())
    before = size(model.device)
    peer.run(workload)
    return peak_size(model.device) - before


def main() -> None:
    fields = json.loads(sys.argv[1])
    print(growth(fields.pop("peer"), BenchConfig(**fields)))


if __name__ == "__main__":
    main()
