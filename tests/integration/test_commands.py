"""What a worker is told on RQ's command channel, and what hangs on its jobs, can't take it down."""

from __future__ import annotations

from collections.abc import Callable

import redis
from rq import Queue
from rq.command import send_command, send_shutdown_command, send_stop_execution_command
from rq.executions import ExecutionRegistry
from rq.job import Job

from jobs import FUNCTION_NAME, Client, GenerateJob, JobStatus, MsgpackSerializer, SampledRows
from tests.integration.conftest import StartWorker
from tests.integration.job_mixes import long_jobs, question
from tests.waiting import until

Expected = Callable[[GenerateJob], SampledRows]


def test_commands_of_rq_are_obeyed_after_messages_that_are_none(
    client: Client,
    queue: str,
    connection: redis.Redis,
    start_worker: StartWorker,
    expected: Expected,
) -> None:
    worker = start_worker("--max-rows", "64")
    (key,) = connection.smembers(f"rq:workers:{queue}")
    name = key.decode().removeprefix("rq:worker:")
    jobs = long_jobs(2)
    stopped, neighbour = client.submit_many(jobs)
    until(lambda: client.status(stopped) is JobStatus.RUNNING, what="the job to run")

    for nonsense in (b"\xff", b"not json", b"[]", b"{}", b'{"command": "stop-job"}'):
        connection.publish(f"rq:pubsub:{name}", nonsense)
    send_command(connection, name, "kill-horse")
    job = Job.fetch(stopped, connection, MsgpackSerializer)
    (execution,) = ExecutionRegistry(stopped, connection).get_execution_ids()
    send_stop_execution_command(connection, stopped, execution)

    until(lambda: job.get_status(refresh=True) == "stopped", what="the stop")
    assert client.result(neighbour, timeout=60) == expected(jobs[1])
    send_shutdown_command(connection, name)
    assert worker.process.wait(60) == 0, worker.log


def test_a_dependent_that_nobody_can_read_harms_no_other_job(
    client: Client,
    queue: str,
    connection: redis.Redis,
    start_worker: StartWorker,
    expected: Expected,
) -> None:
    plain = Queue(queue, connection=connection, serializer=MsgpackSerializer)
    job = question(seed=3)
    first = plain.enqueue(FUNCTION_NAME, kwargs=job.fields())
    broken = plain.enqueue(FUNCTION_NAME, prompt_tokens=[1], depends_on=first)
    connection.hset(broken.key, mapping={"ttl": "no number", "dependency_ids": "no JSON"})
    neighbour = client.submit(job)

    worker = start_worker()

    for job_id in (first.id, neighbour, client.submit(job)):
        assert client.result(job_id, timeout=60) == expected(job), worker.log
    until(lambda: "something after a job failed" in worker.log, what="the worker to say so")
