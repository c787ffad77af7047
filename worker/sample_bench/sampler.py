"""One run of `rowmill sample`, in a process of its own."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from bench.errors import BenchError
from worker.bench_process import BenchProcess


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """What a run made and took."""

    inputs: int
    rows: int
    tokens: int
    seconds: float
    """From its first job, with the files surveyed, until its last part is in place."""
    peak_bytes: int
    """Of its process."""


def sample(
    url: str, queue: str, inputs: Path, out: Path, *, num_samples: int, max_tokens: int
) -> Sampled:
    """The command with workers that are there already. Raises BenchError where an input fails."""
    options: dict[str, object] = {
        "--out": out,
        "--redis": url,
        "--queue": queue,
        "--num-samples": num_samples,
        "--max-tokens": max_tokens,
    }
    words = [str(word) for option in options.items() for word in option]
    with BenchProcess(
        "worker.sample_bench.sampler_process", words=["sample", str(inputs), *words]
    ) as process:
        process.go()
        peak_bytes = process.wait()["peak_bytes"]
    stats = json.loads((out / "stats.json").read_text())
    if stats["failed"] or not stats["is_complete"]:
        raise BenchError(f"{stats['failed']} of {stats['inputs']} inputs failed")
    return Sampled(
        inputs=stats["inputs"],
        rows=stats["rows"],
        tokens=stats["tokens"],
        seconds=stats["seconds"],
        peak_bytes=peak_bytes,
    )
