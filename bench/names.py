"""What engines and workloads are called, in commands and in results."""

from __future__ import annotations

ROWMILL = "rowmill"
SEQUENTIAL = "sequential"
GENERATE = "transformers_generate"
GENERATE_BATCH = "transformers_generate_batch"
FLOOR = "floor"

TRANSFORMERS = (GENERATE, GENERATE_BATCH)
PEERS = (ROWMILL, SEQUENTIAL, *TRANSFORMERS, FLOOR)

TINY = "tiny"
WORKLOADS = ("samples", "singles", "long_prompt", "mixed", TINY)

PLOT_SUFFIXES = (".svg", ".png")
