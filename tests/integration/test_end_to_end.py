"""A job goes in, its rows come out: the engine's own, whoever pushed it and whoever reads it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis
from rq import Queue
from rq.job import Job

from jobs import FUNCTION_NAME, Client, GenerateJob, JobNotFoundError, MsgpackSerializer
from jobs import SampledRows as Rows
from tests.integration.conftest import StartWorker
from tests.integration.job_mixes import mixed_jobs, question
from tests.waiting import until

Expected = Callable[[GenerateJob], Rows]

SHORT = {"prompt_tokens": [1, 2, 3], "num_samples": 2, "seed": 3, "max_tokens": 20}


def rq_queue(name: str, connection: redis.Redis) -> Queue:
    """The queue as a service sees it that has RQ and our serializer, and not our client."""
    return Queue(name, connection=connection, serializer=MsgpackSerializer)


@pytest.mark.parametrize("max_rows", [1, 64])
def test_rows_are_those_of_the_engine_alone_whatever_shares_the_batch(
    client: Client, start_worker: StartWorker, expected: Expected, max_rows: int
) -> None:
    start_worker("--max-rows", str(max_rows))
    jobs = [
        *mixed_jobs(7),
        question(num_samples=70, max_tokens=3),  # more rows than the worker has room for
        question(num_samples=4, seed=7),  # long enough for the calculator
        question(num_samples=2, seed=7),
        question(num_samples=2, first_row=2, seed=7),
        question(num_samples=2, seed=7, logprobs=True),
    ]

    job_ids = client.submit_many([*jobs, *reversed(jobs)])

    outcomes = dict(client.results(job_ids, timeout=60))
    alone = [expected(job) for job in jobs]
    assert [outcomes[job_id] for job_id in job_ids] == [*alone, *reversed(alone)]
    four, two, rest, telling = alone[-4:]
    silent = [row.model_copy(update={"logprobs": None}) for row in telling.rows]
    assert all(row.logprobs for row in telling.rows) and tuple(silent) == two.rows
    assert four.rows == two.rows + rest.rows, "two more are added to the two that were there"
    assert 0 in four.rows[0].masks, "the calculator's output is forced"
    assert {row.finish_reason for rows in alone for row in rows.rows} == {"stop", "length"}


def test_plain_rq_pushes_a_job_and_reads_its_rows(
    client: Client,
    queue: str,
    connection: redis.Redis,
    start_worker: StartWorker,
    expected: Expected,
) -> None:
    worker = start_worker()
    pushed = rq_queue(queue, connection).enqueue(FUNCTION_NAME, result_ttl=1000, **SHORT)
    client.result(pushed.id, timeout=60)

    job = Job.fetch(pushed.id, connection=connection, serializer=MsgpackSerializer)

    assert job.get_status() == "finished"
    provenance = job.return_value().provenance
    assert provenance is not None and provenance.versions.keys() == {"rowmill", "torch", "numpy"}
    assert job.return_value().reproducible == provenance.reproducible
    verdict = "reproducible: yes" if provenance.reproducible else "NOT reproducible"
    measures = f"policy {provenance.policy}, kernels {provenance.kernels}"
    assert f"{verdict} ({measures})" in worker.log
    assert job.return_value() == expected(GenerateJob.parse(SHORT))
    assert job.id in rq_queue(queue, connection).finished_job_registry
    assert job.started_at is not None and job.ended_at is not None
    for key in (job.key, f"rq:results:{job.id}"):
        assert 0 < connection.ttl(key) <= 1000


def test_a_job_of_plain_rq_runs_after_the_one_it_depends_on_and_zero_ttl_leaves_nothing(
    client: Client,
    queue: str,
    connection: redis.Redis,
    start_worker: StartWorker,
    expected: Expected,
) -> None:
    plain = rq_queue(queue, connection)
    first = plain.enqueue(FUNCTION_NAME, result_ttl=0, **SHORT)
    second = plain.enqueue(FUNCTION_NAME, depends_on=first, **SHORT)
    gone = plain.enqueue(FUNCTION_NAME, result_ttl=0, **SHORT)
    assert second.get_status() == "deferred"

    start_worker()

    assert client.result(second.id, timeout=60) == expected(GenerateJob.parse(SHORT))
    assert second.id not in plain.deferred_job_registry
    until(lambda: not connection.exists(gone.key), what="the job to be deleted")
    assert connection.keys(f"*{gone.id}*") == []
    with pytest.raises(JobNotFoundError):
        client.result(gone.id, timeout=0)
    # What another job depends on is kept for a moment, never for ever.
    kept = connection.keys(f"*{first.id}*")
    assert all(connection.ttl(key) != -1 for key in kept), kept
