"""Many streaming clients of one gateway, several times over."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from statistics import median

from bench.errors import BenchError
from worker.bench_process import BenchProcess
from worker.gateway_bench.config import GatewayBenchConfig
from worker.gateway_bench.gateway_process import GatewayProcess


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StreamRound:
    """Of so many streams at once."""

    streams: int
    finished: int
    events: int
    seconds: float
    median_first_event: float
    """Seconds until a client had its first."""
    gateway_cpu_seconds: float
    resident_bytes: int
    """Of the gateway, when the last stream had ended."""


def measure_streams(
    gateway: GatewayProcess, config: GatewayBenchConfig, progress: Callable[[str], None]
) -> list[StreamRound]:
    """Raises BenchError where a stream does not come to its end."""
    rounds = []
    for number in range(config.rounds):
        progress(f"{config.streams} streams, round {number + 1}")
        cpu_before = gateway.cpu_seconds
        with BenchProcess(
            "worker.gateway_bench.load_process",
            port=gateway.port,
            streams=config.streams,
            tokens=config.stream_tokens,
            first_seed=number * config.streams,
        ) as load:
            load.go()
            found = load.wait()
        if found["finished"] != config.streams:
            lost = config.streams - found["finished"]
            raise BenchError(f"{lost} streams did not come to their end: {found['problems']}")
        rounds.append(
            StreamRound(
                streams=config.streams,
                finished=found["finished"],
                events=found["events"],
                seconds=found["seconds"],
                median_first_event=median(found["first_event_seconds"]),
                gateway_cpu_seconds=gateway.cpu_seconds - cpu_before,
                resident_bytes=gateway.resident_bytes,
            )
        )
    return rounds
