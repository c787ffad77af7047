"""What is asyncio's own: many tasks at once, tasks that are cancelled, and connections.

What both clients do is tested with both, where the fixture `client` is used.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import redis
import redis.asyncio

from jobs import (
    AsyncClient,
    Client,
    InvalidJobError,
    JobsError,
    LoginRefusedError,
    ResultTimeoutError,
    RowDelta,
    SampledRows,
    ServerUnavailableError,
)
from jobs.wire import dump_chunk
from tests.jobs.rq_worker import ROWS, finish

JOB: dict[str, Any] = {"prompt_tokens": [1]}
NUM_STREAMS = 500


def num_blocked(connection: redis.Redis) -> int:
    info: Any = connection.info("clients")
    return int(info["blocked_clients"])


async def until(condition: Callable[[], object], what: str) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


def test_both_clients_have_the_same_methods() -> None:
    def public(kind: type) -> set[str]:
        return {name for name in vars(kind) if not name.startswith("_")}

    assert public(AsyncClient) == public(Client)


def test_hundreds_of_streams_wait_at_once(server: str, connection: redis.Redis) -> None:
    async def main() -> None:
        async with AsyncClient(server) as client:
            job_ids = await client.submit_many([{**JOB, "stream": True}] * NUM_STREAMS)

            async def read(job_id: str) -> list[RowDelta]:
                return [delta async for delta in client.stream(job_id, timeout=100)]

            readers = [asyncio.create_task(read(job_id)) for job_id in job_ids]
            await until(lambda: num_blocked(connection) == NUM_STREAMS, "all readers")
            told = [
                RowDelta(row=0, start=0, tokens=(at,), masks=(1,), finish_reason="stop")
                for at in range(NUM_STREAMS)
            ]
            for job_id, delta in zip(job_ids, told, strict=True):
                connection.xadd(f"rowmill:stream:{job_id}", {"chunk": dump_chunk([delta])})
            assert await asyncio.gather(*readers) == [[delta] for delta in told]

    asyncio.run(main())
    assert num_blocked(connection) == 0


def test_a_task_that_is_cancelled_gives_its_connection_back(
    server: str, connection: redis.Redis
) -> None:
    async def main() -> None:
        async with AsyncClient(f"{server}?max_connections=1") as client:
            job_id = await client.submit(**JOB)

            async def iterate(items: Any) -> None:
                async for _ in items:
                    pass

            waits: list[Callable[[], Awaitable[Any]]] = [
                lambda: client.result(job_id),
                lambda: client.replies("mine"),
                lambda: iterate(client.results([job_id])),
                lambda: iterate(client.stream(job_id)),
            ]
            for wait in waits:
                task = asyncio.ensure_future(wait())
                await until(lambda: num_blocked(connection) == 1, "the task")
                with pytest.raises(ServerUnavailableError, match="Too many connections"):
                    await client.num_queued()
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                # The only connection is free again, and brings no answer to another question.
                assert await client.num_queued() == 1
                assert (await client.info(job_id)).queue == "rowmill"
                await until(lambda: num_blocked(connection) == 0, "the server to let go")

    asyncio.run(main())


def test_an_iterator_holds_nothing_between_its_items(server: str, connection: redis.Redis) -> None:
    async def main() -> list[tuple[str, SampledRows | JobsError]]:
        async with AsyncClient(f"{server}?max_connections=1") as client:
            job_ids = await client.submit_many([JOB] * 3)
            for job_id in job_ids:
                finish(connection, job_id)
            outcomes = []
            async for job_id, outcome in client.results(job_ids, timeout=60):
                assert await client.cancel(job_id) is False
                outcomes.append((job_id, outcome))
            assert [job_id for job_id, _ in outcomes] == job_ids
            return outcomes

    assert [outcome for _, outcome in asyncio.run(main())] == [ROWS] * 3


def test_waiting_for_room_leaves_the_loop_to_others(server: str, connection: redis.Redis) -> None:
    async def main() -> None:
        async with AsyncClient(server, max_queued=1, wait_when_full=None) as client:
            first = await client.submit(**JOB)
            second = asyncio.create_task(client.submit(**JOB))
            await asyncio.sleep(0.05)
            assert not second.done()
            await client.cancel(first)
            await second
            assert await client.num_queued() == 1

    asyncio.run(main())


def test_a_wait_that_somebody_else_ends_is_no_timeout_of_ours(
    server: str, connection: redis.Redis
) -> None:
    async def main() -> None:
        async with AsyncClient(server) as client:
            job_id = await client.submit(**JOB)
            with pytest.raises(TimeoutError) as caught:
                async with asyncio.timeout(0.05):
                    await client.result(job_id)
            assert not isinstance(caught.value, JobsError)
            with pytest.raises(ResultTimeoutError):
                await client.result(job_id, timeout=0.05)

    asyncio.run(main())


def test_nothing_is_opened_before_it_is_needed(server: str, connection: redis.Redis) -> None:
    client = AsyncClient(server)  # outside of any event loop
    assert not client._connection.connection_pool._available_connections
    with pytest.raises(InvalidJobError, match="job_id"):
        client.results(["a b"])
    with pytest.raises(InvalidJobError, match="job_id"):
        client.stream("a b")

    async def main() -> None:
        async with client:
            await client.submit(**JOB)

    asyncio.run(main())


def test_a_given_connection_stays_open(server: str, connection: redis.Redis) -> None:
    async def main() -> None:
        async with redis.asyncio.Redis.from_url(server) as given:
            async with AsyncClient(given) as client:
                job_id = await client.submit(**JOB)
                finish(connection, job_id)
                assert await client.result(job_id) == ROWS
            assert await given.ping()

    asyncio.run(main())


@pytest.mark.parametrize("given", [None, 7, redis.Redis()])
def test_what_is_no_connection_of_asyncio_is_refused(given: Any) -> None:
    with pytest.raises(InvalidJobError, match=r"redis\.asyncio\.Redis"):
        AsyncClient(given)


def test_bad_settings_are_refused_as_by_the_client(server: str) -> None:
    for url in ("", "localhost", "redis://:secret@host:port"):
        with pytest.raises(InvalidJobError, match="redis://") as caught:
            AsyncClient(url)
        assert "secret" not in str(caught.value)
    decoding = redis.asyncio.Redis.from_url(server, decode_responses=True)
    for settings in ({"url_or_connection": decoding}, {"queue": "a b"}, {"timeout": 0}):
        arguments: dict[str, Any] = {"url_or_connection": server, **settings}
        with pytest.raises(InvalidJobError):
            AsyncClient(**arguments)
    unknown: Any = {"time_out": 3}
    with pytest.raises(TypeError, match="time_out"):
        AsyncClient(server, **unknown)


@pytest.mark.parametrize(
    "url",
    ["redis://:secret@127.0.0.1:1/0", "unix://:secret@/nowhere/s", "rediss://:secret@127.0.0.1:1"],
)
def test_a_server_that_is_not_there_is_named_without_its_password(url: str) -> None:
    async def main() -> None:
        async with AsyncClient(url) as client:
            await client.submit(**JOB)

    with pytest.raises(ServerUnavailableError) as caught:
        asyncio.run(main())
    assert "127.0.0.1:1" in str(caught.value) or "/nowhere/s" in str(caught.value)
    assert "secret" not in "".join(traceback.format_exception(caught.value))


def test_a_wrong_login_is_a_typed_error_without_the_password(
    server: str, connection: redis.Redis
) -> None:
    async def main() -> None:
        async with AsyncClient(server.replace("unix://", "unix://nobody:top-secret@")) as client:
            await client.status("a")

    with pytest.raises(LoginRefusedError, match="invalid username-password pair") as caught:
        asyncio.run(main())
    assert "top-secret" not in "".join(traceback.format_exception(caught.value))


def test_a_server_that_goes_away_under_a_wait_is_told(server: str, connection: redis.Redis) -> None:
    async def main() -> None:
        async with AsyncClient(server) as client:
            job_id = await client.submit(**JOB)
            task = asyncio.create_task(client.result(job_id))
            await until(lambda: num_blocked(connection) == 1, "the task")
            connection.client_kill_filter(_type="normal", skipme=True)
            with pytest.raises(ServerUnavailableError):
                await task
            assert await client.num_queued() == 1

    asyncio.run(main())


def test_a_task_that_waits_can_be_cancelled_at_any_moment(
    server: str, connection: redis.Redis
) -> None:
    """While it connects, sends, or waits for the server's answer, which would not come."""

    async def leave(client: AsyncClient, job_id: str, num_turns: int) -> None:
        task = asyncio.create_task(client.result(job_id))
        for _ in range(num_turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait((task,))
        assert task.cancelled()

    async def main() -> None:
        async with AsyncClient(server) as connected:
            job_id = await connected.submit(**JOB)
            for num_turns in range(30):
                await leave(connected, job_id, num_turns)
                async with AsyncClient(server) as client:
                    await leave(client, job_id, num_turns)

    asyncio.run(main())
