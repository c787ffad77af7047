"""A worker claims where a row is free, and a few jobs ahead."""

from __future__ import annotations

import pytest
import redis

from jobs import Client
from tests.worker.conftest import MakeLedger
from worker.claim import Claim
from worker.claimer import Claimer
from worker.claims import Claims
from worker.ledger import Ledger

JOB = {"prompt_tokens": [1]}


class Fallible:
    """A ledger whose server may be away."""

    is_blocked = False

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.error: redis.RedisError | None = None

    def claim(self, num_rows: int, *, is_idle: bool) -> list[Claim]:
        if self.error is not None:
            raise self.error
        return self._ledger.claim(num_rows, is_idle=is_idle)


@pytest.fixture
def ledger(make_ledger: MakeLedger) -> Fallible:
    return Fallible(make_ledger("w1"))


def new_claimer(ledger: Fallible, max_rows: int, claims: Claims | None = None) -> Claimer:
    return Claimer(ledger, Claims() if claims is None else claims, max_rows)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("max_rows", "num_busy", "num_claimed"), [(16, 0, 18), (16, 15, 3), (4, 1, 3)]
)
def test_an_eighth_of_the_rows_is_claimed_ahead(
    client: Client, ledger: Fallible, max_rows: int, num_busy: int, num_claimed: int
) -> None:
    client.submit_many([JOB] * 40)
    claims = Claims()
    taken = new_claimer(ledger, max_rows, claims).claim(num_busy, is_idle=not num_busy)
    assert taken is not None and len(taken) == num_claimed
    assert len(claims) == num_claimed, "their leases are to be extended"


@pytest.mark.parametrize("num_busy", [16, 17, 18, 100])
def test_nothing_is_claimed_while_no_row_is_free(
    client: Client, ledger: Fallible, num_busy: int
) -> None:
    client.submit(JOB)
    assert new_claimer(ledger, 16).claim(num_busy, is_idle=False) is None


def test_an_empty_queue_is_left_alone_for_a_moment(client: Client, ledger: Fallible) -> None:
    claimer = new_claimer(ledger, 4)
    assert claimer.claim(0, is_idle=True) == []
    assert claimer.seconds_left > 0
    client.submit(JOB)
    claimer.hurry()
    assert len(claimer.claim(0, is_idle=True) or []) == 1


def test_a_server_that_does_not_answer_is_left_alone_ever_longer(ledger: Fallible) -> None:
    claimer = new_claimer(ledger, 4)
    ledger.error = redis.ConnectionError("gone")
    assert claimer.claim(0, is_idle=True) is None
    first = claimer.seconds_left
    claimer.hurry()
    assert claimer.claim(0, is_idle=True) is None
    assert claimer.seconds_left > first > 0.5
    ledger.error = None
    assert claimer.claim(0, is_idle=True) is None, "it does not ask yet"
    claimer.hurry()
    assert claimer.claim(0, is_idle=True) == []
