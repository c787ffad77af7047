"""Outcomes are stored whatever one of them is, and kept while the server is away."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from engine import RequestResult, RowResult
from jobs import Client, JobFailedError
from tests.worker.conftest import MakeLedger
from worker.claims import Claims
from worker.finalizer import Finalizer

JOB = {"prompt_tokens": [1]}


@pytest.fixture
def small_server(connection: redis.Redis) -> Iterator[redis.Redis]:
    """Takes no argument of more than a mebibyte."""
    before = connection.config_get("proto-max-bulk-len")["proto-max-bulk-len"]
    connection.config_set("proto-max-bulk-len", 2**20)
    yield connection
    connection.config_set("proto-max-bulk-len", before)


def result(num_tokens: int) -> RequestResult:
    tokens = [n * 7919 % 65521 for n in range(num_tokens)]
    return RequestResult("r", [RowResult(tokens, [1] * num_tokens, "stop")])


def test_rows_that_the_server_never_takes_fail_their_job_and_no_other(
    client: Client, small_server: redis.Redis, make_ledger: MakeLedger
) -> None:
    job_ids = client.submit_many([JOB] * 3)
    ledger, claims = make_ledger("w1"), Claims()
    finalizer = Finalizer(ledger, claims)
    held = ledger.claim(3, is_idle=True)
    claims.add(held)
    for claim, num_tokens in zip(held, (5, 600_000, 6), strict=True):
        finalizer.finish(claim, result(num_tokens))
    finalizer.close()
    finalizer.start()  # all are there: it stores them in one call

    assert finalizer.join(60)
    assert [len(client.result(job_ids[n], timeout=0).rows[0].tokens) for n in (0, 2)] == [5, 6]
    with pytest.raises(JobFailedError, match="refused the rows"):
        client.result(job_ids[1], timeout=0)
    assert len(claims) == 0
