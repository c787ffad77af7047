"""RQ's registries and worker records are right while jobs run and after."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import redis
from rq import Queue
from rq.worker import Worker

from jobs import Client, MsgpackSerializer
from tests.integration.conftest import StartWorker
from tests.integration.job_mixes import long_jobs, question
from tests.waiting import until


def test_registries_tell_what_runs(
    client: Client, queue: str, connection: redis.Redis, start_worker: StartWorker
) -> None:
    process = start_worker("--max-rows", "32").process
    rq_queue = Queue(queue, connection=connection, serializer=MsgpackSerializer)
    job_ids = client.submit_many(long_jobs(4))
    started = rq_queue.started_job_registry
    # Two have a row for each of theirs, and the third is claimed ahead.
    until(lambda: started.get_job_count(cleanup=False) == 3, what="three jobs to be claimed")
    process.send_signal(signal.SIGSTOP)  # what follows looks at one moment

    assert sorted(started.get_job_ids(cleanup=False)) == sorted(job_ids[:3])
    assert rq_queue.get_job_ids() == job_ids[3:]
    (worker,) = Worker.all(queue=rq_queue, serializer=MsgpackSerializer)
    assert worker.get_state() == "busy"
    assert worker.pid == process.pid
    assert worker.queue_names() == [queue]
    running = {execution.job_id for execution in worker.get_current_executions()}
    assert running == set(job_ids[:3])

    process.send_signal(signal.SIGCONT)
    assert len(dict(client.results(job_ids, timeout=60))) == 4


def test_registries_are_clean_after(
    client: Client, queue: str, connection: redis.Redis, start_worker: StartWorker
) -> None:
    worker_process = start_worker().process
    job_ids = client.submit_many([question(seed=seed) for seed in range(5)])
    bad = client.submit(prompt_tokens=[9999])
    outcomes = dict(client.results([*job_ids, bad], timeout=60))
    rq_queue = Queue(queue, connection=connection, serializer=MsgpackSerializer)
    (worker,) = Worker.all(queue=rq_queue, serializer=MsgpackSerializer)
    until(lambda: connection.hget(worker.key, "state") == b"idle", what="the worker to be idle")
    worker.refresh()

    assert len(outcomes) == 6
    assert worker.successful_job_count == 5
    assert worker.failed_job_count == 1
    assert worker.get_current_executions() == []
    assert sorted(rq_queue.finished_job_registry.get_job_ids()) == sorted(job_ids)
    assert rq_queue.failed_job_registry.get_job_ids() == [bad]
    assert rq_queue.started_job_registry.get_job_count() == 0
    for job_id in [*job_ids, bad]:
        assert connection.keys(f"rq:execution*{job_id}*") == []
    assert not connection.exists(worker.executions_key)

    worker_process.send_signal(signal.SIGTERM)
    assert worker_process.wait(60) == 0
    assert Worker.all(queue=rq_queue, serializer=MsgpackSerializer) == []


def test_rq_info_shows_queue_and_worker(
    url: str, client: Client, queue: str, start_worker: StartWorker
) -> None:
    start_worker()
    client.result(client.submit(question()), timeout=60)
    rq = Path(sys.executable).parent / "rq"
    command = [rq, "info", "--url", url, "--raw", queue]
    report = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert f"queue {queue} 0" in report
    assert "worker" in report
