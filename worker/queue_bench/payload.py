"""The job and the row that every system of the bench moves."""

from __future__ import annotations

from typing import Any

NUM_TOKENS = 32
"""Of the one row of a job."""

JOB: dict[str, Any] = {
    "prompt_tokens": list(range(100, 116)),
    "num_samples": 1,
    "max_tokens": NUM_TOKENS,
    "temperature": 0.8,
    "top_k": 50,
    "seed": 7,
}
TOKENS = [50_000 + 7 * n for n in range(NUM_TOKENS)]
MASKS = [1] * NUM_TOKENS
PROVENANCE: dict[str, Any] = {
    "reproducible": True,
    "model": "0123456789abcdef" * 4,
    "dtype": "float32",
    "device": "none: an engine that costs nothing",
    "kernels": "none",
    "policy": "none",
    "sampler": 1,
    "versions": {"rowmill": "0.1.0", "torch": "2.13.0+cpu", "numpy": "2.4.0"},
}
