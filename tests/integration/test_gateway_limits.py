"""A gateway takes as many connections as the system lets it, and says where these are few."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx2
import psutil
import pytest

from tests.integration.gateway_process import GatewayProcess, StartGateway
from tests.waiting import until


@pytest.fixture
def start(url: str, queue: str, tmp_path: Path) -> Iterator[StartGateway]:
    started: list[GatewayProcess] = []

    def with_limits(limits: str) -> GatewayProcess:
        log = tmp_path / f"{len(started)}.log"
        started.append(GatewayProcess(url, queue, log, limits=limits))
        return started[-1]

    yield with_limits
    for gateway in started:
        assert gateway.end(signal.SIGTERM) == 0


def test_a_soft_limit_of_open_files_is_raised_to_the_hard_one(start: StartGateway) -> None:
    gateway = start("-Sn 100")
    soft, hard = psutil.Process(gateway.process.pid).rlimit(psutil.RLIMIT_NOFILE)
    assert soft == hard > 100
    with ExitStack() as stack:
        for _ in range(150):
            stack.enter_context(socket.create_connection(("127.0.0.1", gateway.port)))
        assert httpx2.get(f"{gateway.http}/readyz").is_success
        assert gateway.num_callers >= 150
    assert "open files" not in gateway.log


def test_a_hard_limit_that_is_low_is_told_and_outlived(start: StartGateway) -> None:
    gateway = start("-n 100")
    assert "100 open files, which is about 50 streams at once" in gateway.log
    with ExitStack() as stack:
        for _ in range(150):
            stack.enter_context(socket.create_connection(("127.0.0.1", gateway.port)))
    until(lambda: is_ready(gateway), what="the gateway to serve again")


def is_ready(gateway: GatewayProcess) -> bool:
    try:
        return httpx2.get(f"{gateway.http}/readyz").is_success
    except httpx2.TransportError:
        return False
