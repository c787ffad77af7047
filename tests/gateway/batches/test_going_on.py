"""Batches go on when gateways stop, are killed, or share a folder."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import httpx2
import openai
import pytest

from gateway.batches.batch_store import BatchFolder, BatchStore
from tests.gateway.batches.conftest import (
    MODEL,
    QUEUE,
    Gateways,
    Lines,
    client_of,
    completed,
    create,
    ended,
    in_progress,
    line,
    read,
)
from tests.waiting import until

LINES = [line(n, n=2, max_tokens=32, ignore_eos=True, temperature=1.5) for n in range(60)]
LINES[7] = line(7, model="other")
LINES[9] = line(9, prompt=["a", "b", "c"])


def contents(client: openai.OpenAI, batch_id: str) -> tuple[bytes, bytes]:
    """Of a batch's files, but for IDs and times."""
    batch = ended(client, batch_id)
    assert batch.status == "completed", batch
    return written(read(client, batch.output_file_id)), written(read(client, batch.error_file_id))


def written(lines: Lines) -> bytes:
    for one in lines:
        del one["id"], one["response"]["request_id"]
        for name in ("id", "created"):
            one["response"]["body"].pop(name, None)
    return "\n".join(json.dumps(one) for one in lines).encode()


def folder_of(gateways: Gateways) -> Path:
    """Of the only batch."""
    (folder,) = gateways.data.glob("*/batches/batch_*")
    return folder


def is_in_mid_batch(gateways: Gateways) -> bool:
    batch = BatchFolder(folder_of(gateways)).read()
    return batch.status == "in_progress" and 1 <= batch.request_counts.completed < len(LINES) - 1


@pytest.fixture(scope="module")
def expected(theirs: openai.OpenAI) -> tuple[bytes, bytes]:
    """Of a batch that nothing disturbs."""
    output, errors = contents(theirs, create(theirs, LINES).id)
    assert output.count(b"custom_id") == len(LINES) - 1
    return output, errors


def test_a_batch_goes_on_where_a_gateway_stopped(
    gateways: Gateways, expected: tuple[bytes, bytes]
) -> None:
    with gateways.one(in_flight=2) as client:
        batch = create(client, LINES)
        in_progress(client, batch.id, completed(3))
    assert is_in_mid_batch(gateways)
    with gateways.one() as client:
        assert contents(client, batch.id) == expected
    assert {path.name for path in folder_of(gateways).iterdir()} <= {"batch.json", "lock"}


def test_a_batch_goes_on_where_a_gateway_was_killed(
    gateways: Gateways, expected: tuple[bytes, bytes], tmp_path: Path
) -> None:
    with Process(gateways, tmp_path) as process:
        batch = create(process.client, LINES)
        in_progress(process.client, batch.id, completed(1))
        process.end(signal.SIGKILL)
    assert is_in_mid_batch(gateways)
    with gateways.one() as client:
        assert contents(client, batch.id) == expected


def test_a_gateway_that_is_told_to_end_leaves_its_batches(
    gateways: Gateways, expected: tuple[bytes, bytes], tmp_path: Path
) -> None:
    with Process(gateways, tmp_path) as process:
        batch = create(process.client, LINES)
        in_progress(process.client, batch.id, completed(1))
        assert process.end(signal.SIGTERM) == 0
    assert is_in_mid_batch(gateways)
    with gateways.one() as client:
        assert contents(client, batch.id) == expected


def test_gateways_on_one_folder_share_its_batches(
    gateways: Gateways, expected: tuple[bytes, bytes]
) -> None:
    with gateways.one() as one, gateways.one() as other:
        ids = [create(client, LINES).id for client in (one, other, one)]
        assert [contents(other, batch_id) for batch_id in ids] == [expected] * 3
        assert {batch.id for batch in one.batches.list()} == set(ids)
    # Nobody wrote a file twice.
    assert len(list(gateways.data.glob("*/files/*.jsonl"))) == 3 + 2 * 3


def test_one_works_at_a_batch(tmp_path: Path) -> None:
    folders = [BatchFolder(tmp_path), BatchFolder(tmp_path)]
    with folders[0].locked() as first, folders[1].locked() as other:
        assert (first, other) == (True, False)
    with folders[1].locked() as other:
        assert other


def test_a_batch_is_cancelled_by_any_gateway(gateways: Gateways) -> None:
    with gateways.one(in_flight=1) as one, gateways.one() as other:
        batch = create(one, [{**LINES[0], "custom_id": str(number)} for number in range(500)])
        in_progress(other, batch.id, completed(0))
        other.batches.cancel(batch.id)
        assert ended(one, batch.id).status == "cancelled"


def test_batches_are_counted_one_at_a_time(tmp_path: Path) -> None:
    store, inside = BatchStore(tmp_path), list[int]()

    def count() -> None:
        with store.counted(None):
            inside.append(1)
            assert sum(inside) == 1
            inside.append(-1)

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(inside) == 16


class Process:
    """`rowmill gateway` in a process of its own."""

    def __init__(self, gateways: Gateways, folder: Path) -> None:
        self._log = folder / "gateway.log"
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self._port = listener.getsockname()[1]
        command = [sys.executable, "-m", "worker.cli", "gateway", "--model", MODEL]
        command += ["--redis", gateways.url, "--queue", QUEUE, "--port", str(self._port)]
        command += ["--batch-folder", str(gateways.data)]
        command += ["--batch-in-flight", "2"]
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        self.client = client_of(f"http://127.0.0.1:{self._port}")

    def __enter__(self) -> Process:
        until(self._is_listening, what="the gateway to listen")
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self._process.kill()
        self._process.wait()

    def end(self, number: signal.Signals) -> int:
        self._process.send_signal(number)
        return self._process.wait(30)

    def _is_listening(self) -> bool:
        assert self._process.poll() is None, self._log.read_text()
        try:
            return httpx2.get(f"http://127.0.0.1:{self._port}/healthz").is_success
        except httpx2.TransportError:
            return False
