"""Whatever is pushed into the queue fails alone, with a reason; the worker stays as it was."""

from __future__ import annotations

import zlib
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import redis

from engine import RequestError
from jobs import Client, GenerateJob, JobsError, MsgpackSerializer, SampledRows
from jobs.job_options import MAX_PAYLOAD_BYTES
from jobs.payload import read_job
from tests.integration.conftest import StartWorker, WorkerProcess
from tests.integration.hostile_hashes import all_jobs
from tests.integration.hostile_job import Ending, HostileJob
from tests.integration.hostile_payloads import all_payloads
from tests.integration.job_mixes import long_jobs, mixed_jobs
from tests.integration.payload_bombs import all_bombs
from tests.waiting import until

Expected = Callable[[GenerateJob], SampledRows]

MOST_ROWS = 32
MOST_GROWTH = 30 * MAX_PAYLOAD_BYTES
"""Bytes: what reading one payload takes at most, and some for claims that wait to be read."""
LONGEST_LINE = 1000
LONGEST_REASON = 1000
AT_ONCE = 9
"""Hostile jobs in a row: every tenth job is good."""


def test_hostile_jobs_fail_alone_and_the_worker_stays_as_it_was(
    client: Client,
    queue: str,
    connection: redis.Redis,
    start_worker: StartWorker,
    expected: Expected,
    tmp_path: Path,
) -> None:
    trap = tmp_path / "was-read"
    hostile = list(_hostile_jobs(trap))
    assert len(hostile) >= 1500
    worker = start_worker("--max-rows", str(MOST_ROWS), "--max-num-samples", str(MOST_ROWS))
    _warm_up(client)
    peak_before = _peak_memory(worker)

    good = _push_all(hostile, client, queue, connection)
    until(lambda: _is_idle(connection, queue), what="the worker to end all jobs")

    assert dict(client.results(good, timeout=1)) == {
        job_id: expected(job) for job_id, job in good.items()
    }
    problems = [_problem(job, queue, connection, expected) for job in hostile]
    wrong = [problem for problem in problems if problem is not None]
    assert not wrong, "\n".join(wrong)
    assert not trap.exists()
    assert worker.process.poll() is None
    assert worker.is_registered(connection)
    assert _peak_memory(worker) - peak_before < MOST_GROWTH
    assert "Traceback" not in worker.log
    assert max(map(len, worker.log.splitlines())) < LONGEST_LINE
    assert len(worker.log) < LONGEST_LINE * len(hostile)


def _hostile_jobs(trap: Path) -> Iterator[HostileJob]:
    for name, data in (*all_payloads(trap), *all_bombs()):
        yield HostileJob(name=name, ending=Ending.BY_PAYLOAD, data=data)
    yield from all_jobs()


def _warm_up(client: Client) -> None:
    """Bring the worker's memory to where good jobs bring it."""
    jobs = long_jobs(2 * MOST_ROWS // 16)
    assert len(dict(client.results(client.submit_many(jobs), timeout=60))) == len(jobs)


def _push_all(
    hostile: list[HostileJob], client: Client, queue: str, connection: redis.Redis
) -> Mapping[str, GenerateJob]:
    """Pushes a good job after every few hostile ones; returns the good ones by ID."""
    mix = mixed_jobs(10)
    good: dict[str, GenerateJob] = {}
    for start in range(0, len(hostile), AT_ONCE):
        with connection.pipeline(transaction=False) as pipe:
            for job in hostile[start : start + AT_ONCE]:
                job.push(queue, pipe)
            pipe.execute()
        job = mix[start // AT_ONCE % len(mix)]
        good[client.submit(job)] = job
    return good


def _is_idle(connection: redis.Redis, queue: str) -> bool:
    return not connection.llen(f"rq:queue:{queue}") and not connection.zcard(f"rq:wip:{queue}")


def _problem(
    job: HostileJob, queue: str, connection: redis.Redis, expected: Expected
) -> str | None:
    """What is wrong with how a job ended, if anything is."""
    end = _end_of(job, connection)
    if not _is_right(job.ending, end, _rows_of(job, expected)):
        return f"{job.name}: ended {end!r:.200}, and should end {job.ending.value}"
    status = connection.hget(b"rq:job:" + job.job_id, "status") if end else None
    places = [
        kind for kind in ("finished", "failed") if _is_in(f"rq:{kind}:{queue}", job, connection)
    ]
    right = {SampledRows: "finished", str: "failed"}.get(type(end))
    # RQ's own readers break on an ID that is no text, so no registry has it.
    right_places = [right] if right and job.job_id.isascii() else []
    if (status and status.decode()) != right or places != right_places:
        return f"{job.name}: ended {end!r:.200}, but has status {status!r} and is in {places}"
    if isinstance(end, str) and not 0 < len(end) < LONGEST_REASON:
        return f"{job.name}: a reason of {len(end)} letters"
    return None


def _is_right(ending: Ending, end: SampledRows | str | None, rows: SampledRows | None) -> bool:
    match ending:
        case Ending.DROPPED:
            return end is None
        case Ending.FAILS:
            return isinstance(end, str)
        case Ending.RUNS:
            return rows is not None and end == rows
        case Ending.RUNS_OR_FAILS:
            return isinstance(end, str) or (rows is not None and end == rows)
        case Ending.BY_PAYLOAD:
            return isinstance(end, str) if rows is None else end == rows


def _end_of(job: HostileJob, connection: redis.Redis) -> SampledRows | str | None:
    """The rows or the reason in the newest entry of a job's result stream, as RQ writes them."""
    key = b"rq:results:" + job.job_id
    if connection.type(key) != b"stream":
        return None
    fields: Any = connection.xrevrange(key, count=1)[0][1]
    if b"exc_string" in fields:
        return zlib.decompress(b64decode(fields[b"exc_string"])).decode()
    if b"return_value" in fields and b"execution_id" in fields:
        rows: SampledRows = MsgpackSerializer.loads(b64decode(fields[b"return_value"]))
        return rows
    return None  # what the producer put there


def _is_in(registry: str, job: HostileJob, connection: redis.Redis) -> bool:
    return connection.zscore(registry, job.job_id) is not None


def _rows_of(job: HostileJob, expected: Expected) -> SampledRows | None:
    """The rows that a payload asks for; None where it must be refused."""
    try:
        wanted = read_job(job.data, MAX_PAYLOAD_BYTES)
        return expected(wanted) if wanted.num_samples <= MOST_ROWS else None
    except (JobsError, RequestError):
        return None


def _peak_memory(worker: WorkerProcess) -> int:
    """The largest resident size that the worker has had, in bytes."""
    status = Path(f"/proc/{worker.process.pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024
