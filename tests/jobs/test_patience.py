"""A client that was told to wait goes on where it was when the server is back."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator
from typing import Any

import pytest
import redis

from jobs import (
    AsyncClient,
    Client,
    JobNotFoundError,
    LoginRefusedError,
    RowDelta,
    SampledRows,
    ServerUnavailableError,
)
from jobs.patience import patient
from jobs.server_call import Item, Pause, command
from tests.jobs.rq_worker import finish, start
from tests.jobs.test_stream import JOB, RESULT, WHOLE, blocked, piece, tell
from tests.waiting import until

AWAY = ServerUnavailableError("here", "away")
GET = command("GET", "a")


def operation() -> Generator[Any, Any, str]:
    yield Item(1)
    answer: str = yield GET
    return answer


def test_a_call_is_made_again_until_it_is_answered_and_pauses_become_longer() -> None:
    waiting = patient(operation(), 1000)
    assert waiting.send(None) == Item(1)
    assert waiting.send(None) == GET
    pauses = []
    for _ in range(10):
        pause = waiting.throw(AWAY)
        assert isinstance(pause, Pause)
        pauses.append(pause.seconds)
        assert waiting.send(None) == GET
    assert pauses == sorted(pauses) and pauses[0] < pauses[-1] <= 1
    with pytest.raises(StopIteration) as end:
        waiting.send("answer")
    assert end.value.value == "answer"


def test_patience_has_an_end() -> None:
    waiting = patient(operation(), 0)
    waiting.send(None)
    waiting.send(None)
    with pytest.raises(ServerUnavailableError):
        waiting.throw(AWAY)


@pytest.mark.parametrize("error", [LoginRefusedError("here", "no"), JobNotFoundError("a")])
def test_what_time_does_not_change_is_raised_at_once(error: Exception) -> None:
    waiting = patient(operation(), 1000)
    waiting.send(None)
    waiting.send(None)
    with pytest.raises(type(error)):
        waiting.throw(error)


def test_a_stream_whose_connections_are_cut_goes_on_with_the_next_token(
    server: str, connection: redis.Redis
) -> None:
    told: list[RowDelta] = []
    also_told: list[RowDelta] = []
    found: list[SampledRows] = []

    async def read() -> None:
        async with AsyncClient(server, wait_when_away=60) as client:
            async for delta in client.stream(job_id):
                told.append(delta)

    def read_too() -> None:
        for delta in client.stream(job_id):
            also_told.append(delta)

    def wait_for_it() -> None:
        found.append(client.result(job_id))

    with Client(server, wait_when_away=60) as client:
        job_id = client.submit(**JOB)
        start(connection, job_id)
        readers = [
            threading.Thread(target=asyncio.run, args=[read()], daemon=True),
            threading.Thread(target=read_too, daemon=True),
            threading.Thread(target=wait_for_it, daemon=True),
        ]
        for reader in readers:
            reader.start()
        tell(connection, job_id, piece(0, 0, 1))
        until(lambda: told and also_told, what="the first token")
        for end in (2, 3):
            until(lambda: blocked(connection) == 3, what="all to wait")
            connection.client_kill_filter(_type="normal", skipme=True)
            tell(connection, job_id, piece(0, end - 1, end, is_last=end == 3))
        finish(connection, job_id, RESULT)
        for reader in readers:
            reader.join()

    for its in (told, also_told):
        assert [delta.tokens for delta in its if delta.row == 7] == [(1,), (2,), (3,)]
        assert [delta for delta in its if delta.row == 8] == [WHOLE[1]]
    assert found == [RESULT]
