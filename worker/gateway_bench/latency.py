"""A completion of one row on an idle machine: by the client, and through the gateway."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from statistics import median, quantiles

from bench.errors import BenchError
from jobs import Client
from vocab import ByteTokenizer
from vocab.conversation import render_text
from worker.gateway_bench.http_call import HttpCaller

CLIENT, GATEWAY = "client", "gateway"
_PROMPT = "What is 3 + 4?"
_MAX_TOKENS = 8
_WARM_UP = 10
_PAUSE = 0.02
"""Seconds between requests, in which all processes come to rest."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Milliseconds."""

    median: float
    p95: float
    p99: float


def measure_latency(
    client: Client, port: int, number: int, progress: Callable[[str], None]
) -> Mapping[str, Latency]:
    """Both by turns, so that what else the machine does meets both.

    Raises BenchError where they get other tokens.
    """
    progress("latency")
    prompt = render_text(_PROMPT, ByteTokenizer())
    caller = HttpCaller(port)

    def by_client(seed: int) -> list[int]:
        job_id = client.submit(prompt_tokens=prompt, max_tokens=_MAX_TOKENS, seed=seed)
        return list(client.result(job_id, 60).rows[0].tokens)

    def by_gateway(seed: int) -> list[int]:
        body = caller.complete(
            model="demo", prompt=prompt, max_tokens=_MAX_TOKENS, seed=seed, return_token_ids=True
        )
        return list(body["choices"][0]["token_ids"])

    ways = {CLIENT: by_client, GATEWAY: by_gateway}
    milliseconds: dict[str, list[float]] = {name: [] for name in ways}
    for seed in range(_WARM_UP + number):
        answers = []
        for name, call in ways.items():
            started = time.perf_counter()
            answers.append(call(seed))
            milliseconds[name].append(1e3 * (time.perf_counter() - started))
            time.sleep(_PAUSE)
        if answers[0] != answers[1]:
            raise BenchError(f"seed {seed}: the gateway gave {answers[1]}, the client {answers[0]}")
    caller.close()
    return {name: _latency(its[_WARM_UP:]) for name, its in milliseconds.items()}


def _latency(measured: list[float]) -> Latency:
    percentiles = quantiles(measured, n=100, method="inclusive")
    return Latency(median=median(measured), p95=percentiles[94], p99=percentiles[98])
