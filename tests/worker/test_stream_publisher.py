"""What is told of a job's rows gets to its stream, and never harms the job."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from engine import RowDelta
from jobs import Client
from jobs.wire import load_chunk
from tests.waiting import until
from tests.worker.conftest import MakeLedger, finished
from worker.claim import Claim
from worker.ledger import Ledger
from worker.stream_publisher import StreamPublisher

JOB = {"prompt_tokens": [1], "stream": True}


@pytest.fixture
def ledger(make_ledger: MakeLedger) -> Ledger:
    return make_ledger("w1")


@pytest.fixture
def publisher(connection: redis.Redis) -> Iterator[StreamPublisher]:
    opened = StreamPublisher(connection, 10_000)
    opened.start()
    yield opened
    opened.close(60)


def delta(start: int, *tokens: int, index: int = 0, **fields: Any) -> RowDelta:
    its = {"finish_reason": None, "logprobs": None, "top_tokens": None, "top_logprobs": None}
    its |= {"text": None, **fields}
    return RowDelta(index=index, start=start, tokens=[*tokens], masks=[1] * len(tokens), **its)


def claimed(client: Client, ledger: Ledger, number: int = 1) -> list[Claim]:
    client.submit_many([JOB] * number)
    return ledger.claim(number, is_idle=True)


def chunks_of(connection: redis.Redis, claim: Claim) -> list[list[tuple[int, ...]]]:
    """The tokens of each delta of each chunk."""
    entries: Any = connection.xrange(f"rowmill:stream:{claim.job_id}")
    return [[its.tokens for its in load_chunk(fields[b"chunk"])] for _, fields in entries]


def wait_for_chunks(publisher: StreamPublisher, number: int) -> None:
    until(lambda: publisher.num_chunks == number, what=f"{number} chunks")


def test_every_job_has_its_deltas_in_their_order(
    client: Client, connection: redis.Redis, ledger: Ledger, publisher: StreamPublisher
) -> None:
    one, other = claimed(client, ledger, 2)
    publisher.put(one, [delta(0, 5), delta(0, 6, index=1)])
    publisher.put(other, [delta(0, 7)])
    wait_for_chunks(publisher, 2)
    publisher.put(one, [delta(1, 8, 9)])
    wait_for_chunks(publisher, 3)

    assert chunks_of(connection, one) == [[(5,), (6,)], [(8, 9)]]
    assert chunks_of(connection, other) == [[(7,)]]
    assert 3500 < connection.ttl(f"rowmill:stream:{one.job_id}") <= 3600


def test_what_waits_together_is_one_chunk(
    client: Client, connection: redis.Redis, ledger: Ledger
) -> None:
    publisher = StreamPublisher(connection, 10_000)
    (claim,) = claimed(client, ledger)
    for start in range(5):
        publisher.put(claim, [delta(start, start)])
    assert not publisher.is_ready and publisher.has_room
    publisher.start()
    publisher.close(60)
    assert chunks_of(connection, claim) == [[(0,), (1,), (2,), (3,), (4,)]]
    assert publisher.is_ready


def test_a_chunk_has_bounded_size(
    client: Client, connection: redis.Redis, ledger: Ledger, publisher: StreamPublisher
) -> None:
    (claim,) = claimed(client, ledger)
    rows = [delta(0, *range(30_000), index=index) for index in range(5)]
    publisher.put(claim, rows)
    wait_for_chunks(publisher, 3)
    assert [len(chunk) for chunk in chunks_of(connection, claim)] == [2, 2, 1]


def test_what_comes_after_the_job_is_somebody_elses_is_not_told(
    client: Client, connection: redis.Redis, ledger: Ledger, publisher: StreamPublisher
) -> None:
    """A worker that was cut off must not talk into the stream of who has the job now."""
    lost, done, kept = claimed(client, ledger, 3)
    client.cancel(lost.job_id)
    ledger.finish([finished(done, 1)])
    for claim in (lost, done, kept):
        publisher.put(claim, [delta(0, 5)])
    wait_for_chunks(publisher, 1)
    assert chunks_of(connection, lost) == chunks_of(connection, done) == []
    assert not connection.exists(f"rowmill:stream:{lost.job_id}")


def test_a_stream_goes_with_its_job(
    client: Client, connection: redis.Redis, ledger: Ledger, publisher: StreamPublisher
) -> None:
    cancelled, deleted, ended = (claimed(client, ledger)[0] for _ in range(3))
    claims = (cancelled, deleted, ended)
    for number, claim in enumerate(claims, 1):
        publisher.put(claim, [delta(0, 5)])
        wait_for_chunks(publisher, number)
    ledger.finish([finished(deleted, 5), finished(ended, 5)])
    client.cancel(cancelled.job_id)
    client.delete([deleted.job_id])

    keys = [f"rowmill:stream:{claim.job_id}" for claim in claims]
    assert [connection.exists(key) for key in keys] == [0, 0, 1]
    assert 0 < connection.ttl(keys[2]) <= 60, "not longer than the result"


def test_a_job_that_gets_the_name_of_an_old_one_has_a_stream_of_its_own(
    client: Client, connection: redis.Redis
) -> None:
    connection.xadd("rowmill:stream:again", {"chunk": b"old"})
    client.submit(prompt_tokens=[1], job_id="again")
    assert not connection.exists("rowmill:stream:again")


def test_a_stream_keeps_its_last_chunks(
    client: Client, connection: redis.Redis, ledger: Ledger
) -> None:
    publisher = StreamPublisher(connection, 100)
    publisher.start()
    (claim,) = claimed(client, ledger)
    for start in range(250):
        publisher.put(claim, [delta(start, start)])
        wait_for_chunks(publisher, start + 1)
    publisher.close(60)
    chunks = chunks_of(connection, claim)
    assert 100 <= len(chunks) < 250, "the server trims in whole nodes"
    assert chunks[-1] == [(249,)]


def test_a_key_that_is_no_stream_costs_its_own_chunks_only(
    client: Client, connection: redis.Redis, ledger: Ledger, publisher: StreamPublisher
) -> None:
    spoiled, sound = claimed(client, ledger, 2)
    connection.set(f"rowmill:stream:{spoiled.job_id}", "something else")
    publisher.put(spoiled, [delta(0, 5)])
    publisher.put(sound, [delta(0, 6)])
    wait_for_chunks(publisher, 1)
    assert chunks_of(connection, sound) == [[(6,)]]
    ledger.finish([finished(spoiled, 5)])
    assert len(client.result(spoiled.job_id, timeout=0).rows) == 1


def test_what_can_t_be_written_costs_its_own_chunk_only(
    client: Client, connection: redis.Redis, ledger: Ledger, publisher: StreamPublisher
) -> None:
    broken, sound = claimed(client, ledger, 2)
    publisher.put(broken, [delta(0, 5, logprobs=[-1.0]), delta(1, 6)])  # no columns fit both
    publisher.put(sound, [delta(0, 7)])
    wait_for_chunks(publisher, 1)
    publisher.put(broken, [delta(2, 8)])
    wait_for_chunks(publisher, 2)
    assert chunks_of(connection, sound) == [[(7,)]]
    assert chunks_of(connection, broken) == [[(8,)]]


@pytest.fixture
def full_server(connection: redis.Redis) -> Iterator[redis.Redis]:
    """A server that takes nothing more, until its `maxmemory` is 0 again."""
    yield connection
    connection.config_set("maxmemory", 0)


def test_what_a_full_server_refuses_waits_within_bounds(
    client: Client, full_server: redis.Redis, ledger: Ledger
) -> None:
    claims = claimed(client, ledger, 2)
    full_server.config_set("maxmemory", 1)
    publisher = StreamPublisher(full_server, 10_000)
    publisher.start()
    first = [delta(0, 5)]
    publisher.put(claims[0], first)
    until(lambda: publisher.is_ready, what="the publisher to take it")
    row = delta(0, *range(10_000))
    while publisher.has_room:
        publisher.put(claims[1], [row])
    publisher.put(claims[1], [row])
    assert publisher.num_dropped_tokens == 10_000

    full_server.config_set("maxmemory", 0)
    until(lambda: publisher.is_ready, what="room again")
    publisher.close(60)
    assert chunks_of(full_server, claims[0]) == [[(5,)]]
    assert sum(map(len, chunks_of(full_server, claims[1]))) == 105


def test_a_worker_that_stops_does_not_wait_for_a_server_that_refuses(
    client: Client, full_server: redis.Redis, ledger: Ledger
) -> None:
    (claim,) = claimed(client, ledger)
    full_server.config_set("maxmemory", 1)
    publisher = StreamPublisher(full_server, 10_000)
    publisher.start()
    publisher.put(claim, [delta(0, 5)])
    publisher.close(60)
    assert not publisher.is_running
