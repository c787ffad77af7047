"""A claim while rows run is nothing that a step waits for, and none is lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import redis

from jobs import Client
from tests.waiting import until
from tests.worker.conftest import MakeLedger, queued_ids
from worker.claim import Claim
from worker.claimer import Claimer
from worker.claims import Claims
from worker.ledger import Ledger

JOB = {"prompt_tokens": [1]}


class SlowLedger:
    """A ledger whose server answers when it may."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.may_answer = threading.Event()
        self.is_blocked = self.is_empty = False
        self.error: redis.RedisError | None = None

    def claim(self, num_rows: int, *, is_idle: bool) -> list[Claim]:
        claims = self._ledger.claim(num_rows, is_idle=is_idle)
        self.may_answer.wait(30)
        if self.error is not None:
            raise self.error
        return claims


@pytest.fixture
def slow(make_ledger: MakeLedger) -> SlowLedger:
    return SlowLedger(make_ledger("w1"))


@pytest.fixture
def claims() -> Claims:
    return Claims()


@pytest.fixture
def claimer(slow: SlowLedger, claims: Claims) -> Iterator[Claimer]:
    its = Claimer(slow, claims)  # type: ignore[arg-type]
    yield its
    slow.may_answer.set()
    its.close()


def test_a_busy_worker_takes_the_answer_when_it_is_there(
    client: Client, slow: SlowLedger, claims: Claims, claimer: Claimer
) -> None:
    job_ids = client.submit_many([JOB] * 3)
    assert claimer.claim(2, is_idle=False, seconds=0) is None
    assert claimer.is_asking
    assert claimer.claim(3, is_idle=False, seconds=0) is None, "one claim at a time"
    slow.may_answer.set()
    until(lambda: len(claims) == 2, what="the answer")  # the heart extends them from now on
    taken = claimer.claim(3, is_idle=False, seconds=0) or []
    assert [claim.job_id for claim in taken] == job_ids[:2]
    assert not claimer.is_asking


def test_an_idle_worker_waits_for_the_answer(
    client: Client, slow: SlowLedger, claimer: Claimer
) -> None:
    job_id = client.submit(JOB)
    threading.Timer(0.05, slow.may_answer.set).start()
    (claim,) = claimer.claim(1, is_idle=True, seconds=0) or []
    assert claim.job_id == job_id


def test_a_claim_that_is_under_way_at_the_end_can_be_given_back(
    client: Client,
    connection: redis.Redis,
    queue: str,
    slow: SlowLedger,
    claimer: Claimer,
    make_ledger: MakeLedger,
) -> None:
    job_ids = client.submit_many([JOB] * 2)
    claimer.claim(2, is_idle=False, seconds=0)
    slow.may_answer.set()
    make_ledger("w1").give_back(claimer.close())
    assert queued_ids(connection, queue) == job_ids


def test_a_server_that_does_not_answer_is_left_alone_for_a_while(
    slow: SlowLedger, claimer: Claimer
) -> None:
    slow.error = redis.ConnectionError("gone")
    slow.may_answer.set()
    assert claimer.claim(1, is_idle=True, seconds=0) is None
    assert claimer.seconds_left > 0.5
    slow.error = None
    assert claimer.claim(1, is_idle=True, seconds=0) is None, "it does not ask yet"
    claimer.hurry()
    assert claimer.claim(1, is_idle=True, seconds=0) == []
