"""What a worker does to a job, told with RQ's own means."""

import redis
from rq.executions import Execution
from rq.job import Job
from rq.job import JobStatus as RqStatus
from rq.results import Result

from jobs import MsgpackSerializer, Row, SampledRows

ROWS = SampledRows(rows=(Row(tokens=(1, 2), masks=(1, 0), finish_reason="stop"),))


def fetch(connection: redis.Redis, job_id: str) -> Job:
    return Job.fetch(job_id, connection=connection, serializer=MsgpackSerializer)


def start(connection: redis.Redis, job_id: str) -> Execution:
    job = fetch(connection, job_id)
    with connection.pipeline() as pipe:
        pipe.lrem(f"rq:queue:{job.origin}", 1, job_id)
        execution = Execution.create(job, ttl=60, pipeline=pipe, worker_name="w")
        job.prepare_for_execution("w", pipe)
        pipe.execute()
    return execution


def finish(connection: redis.Redis, job_id: str, result: object = ROWS) -> None:
    job = fetch(connection, job_id)
    with connection.pipeline() as pipe:
        job.set_status(RqStatus.FINISHED, pipeline=pipe)
        Result.create(job, Result.Type.SUCCESSFUL, 60, return_value=result, pipeline=pipe)
        pipe.execute()


def fail(connection: redis.Redis, job_id: str, reason: str) -> None:
    job = fetch(connection, job_id)
    with connection.pipeline() as pipe:
        job.set_status(RqStatus.FAILED, pipeline=pipe)
        job.failed_job_registry.add(job, ttl=60, exc_string=reason, pipeline=pipe)
        Result.create_failure(job, 60, exc_string=reason, pipeline=pipe)
        pipe.execute()
