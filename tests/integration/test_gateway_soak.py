"""Many streams, over and over: all come to their ends, and the gateway is none the larger for them.

`--soak-streams 500 --soak-rounds 20` makes it a long one.
"""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from uuid import uuid4

import httpx2
import psutil
import pytest

from tests.integration.conftest import WorkerProcess
from tests.integration.gateway_process import GatewayProcess
from tests.waiting import until

WARM_UP = 3
"""Rounds in which pools and caches fill."""
GROWTH_PER_STREAM = 4096
NOISE = 2**20
"""Bytes: pages that the allocator has not given back."""


@pytest.fixture
def gateway(url: str, queue: str, tmp_path: Path) -> Iterator[GatewayProcess]:
    worker = WorkerProcess(url, queue, tmp_path / "worker.log", ["--max-rows", "64"])
    worker.wait_until_ready()
    started = GatewayProcess(url, queue, tmp_path / "log", ["--metrics-port", "0"])
    yield started
    assert started.end(signal.SIGTERM) == 0
    worker.process.kill()
    worker.process.wait()


async def stream(client: httpx2.AsyncClient, number: int) -> None:
    """One of either API."""
    common = {"max_tokens": 16, "seed": number, "stream": True}
    if number % 2:
        body = {"model": "demo", "prompt": "3 + 4", **common}
        async with client.stream("POST", "/v1/completions", json=body) as response:
            lines = [line async for line in response.aiter_lines() if line]
        assert lines[-1] == "data: [DONE]", lines[-1]
    else:
        answer = await client.post("/v1/jobs", json={"prompt": "3 + 4", **common})
        url = f"/v1/jobs/{answer.json()['ids'][0]}/stream"
        async with client.stream("GET", url) as response:
            lines = [line async for line in response.aiter_lines() if line]
        assert lines[-2] == "event: done", lines[-2:]


async def stray(client: httpx2.AsyncClient) -> None:
    """Names that nobody has asked for before."""
    name = uuid4().hex
    asked = {"model": name, "prompt": "a", name: 1}
    answers = [
        await client.get(f"/{name}"),
        await client.get(f"/v1/jobs/{name}", headers={"Authorization": f"Bearer {name}"}),
        await client.post("/v1/completions", json=asked),
        await client.request("PURGE", "/v1/models"),
    ]
    assert [answer.status_code for answer in answers] == [404, 404, 400, 405]


async def one_round(gateway: GatewayProcess, first: int, streams: int) -> None:
    limits = httpx2.Limits(max_connections=None)
    async with httpx2.AsyncClient(base_url=gateway.http, limits=limits, timeout=300) as client:
        tasks = [stream(client, number) for number in range(first, first + streams)]
        await asyncio.gather(*tasks, *(stray(client) for _ in range(streams // 10)))


def num_series(gateway: GatewayProcess) -> int:
    address = re.search(r"metrics at (\S+)", gateway.log)
    assert address is not None
    return len(httpx2.get(address[1]).text.splitlines())


def test_memory_files_and_metrics_are_the_same_after_each_round(
    gateway: GatewayProcess, pytestconfig: pytest.Config
) -> None:
    streams, rounds = (pytestconfig.getoption(f"--soak-{its}") for its in ("streams", "rounds"))
    process = psutil.Process(gateway.process.pid)
    sizes, files, series = [], [], []
    for number in range(WARM_UP + rounds):
        asyncio.run(one_round(gateway, number * streams, streams))
        until(lambda: gateway.num_callers == 0, what="all connections to be closed")
        sizes.append(gateway.resident_bytes)
        files.append(process.num_fds())
        series.append(num_series(gateway))
    print(sizes, files, series)
    half = WARM_UP + rounds // 2
    growth = median(sizes[half:]) - median(sizes[WARM_UP:half])
    assert growth < max(NOISE, GROWTH_PER_STREAM * streams * rounds / 2), sizes
    assert max(files[WARM_UP:]) <= max(files[:WARM_UP]) + 5, files
    assert len({*series[1:]}) == 1, series
