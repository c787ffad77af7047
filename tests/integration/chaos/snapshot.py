"""Snapshot: a queue, its jobs and its workers at one moment, read from the raw keys."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import redis

PLACES = ("queue", "wip", "scheduled", "deferred", "finished", "failed", "canceled")

_LOOK = """
-- KEYS: the places of a queue, in PLACES' order, and the set of its workers. ARGV: job IDs.
-- Returns {time, places, jobs, executions, workers}, all as of one moment.
local places, jobs, executions, workers = {}, {}, {}, {}
places[1] = redis.call('LRANGE', KEYS[1], 0, -1)
for i = 2, #KEYS - 1 do places[i] = redis.call('ZRANGE', KEYS[i], 0, -1) end
for i, id in ipairs(ARGV) do
  local status = redis.call('HGET', 'rq:job:' .. id, 'status')
  jobs[i] = {status or '', redis.call('XLEN', 'rq:results:' .. id)}
end
for i, composite in ipairs(places[2]) do
  local id, execution = composite:match('^(.*):(.*)$')
  executions[i] = {
    redis.call('HGET', 'rq:execution:' .. composite, 'worker_name') or '',
    redis.call('HGET', 'rq:job:' .. id, 'worker_name') or '',
    redis.call('ZSCORE', 'rq:executions:' .. id, execution) and 1 or 0,
    redis.call('ZSCORE', KEYS[2], composite),
  }
end
for _, key in ipairs(redis.call('SMEMBERS', KEYS[#KEYS])) do
  if redis.call('EXISTS', key) == 1 then
    local state = redis.call('HGET', key, 'state') or '?'
    workers[#workers + 1] = {key, state, redis.call('SMEMBERS', key .. ':executions')}
  end
end
local time = redis.call('TIME')
return {time[1] .. '.' .. ('%06d'):format(time[2]), places, jobs, executions, workers}
"""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """An entry of the wip set, with what other keys say of it."""

    worker: str
    """In its own record; empty if that is gone."""
    worker_of_job: str
    """In the job's record."""
    is_listed: bool
    """Whether it is among the executions of its job."""
    lease_end: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRecord:
    state: str
    executions: frozenset[str]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What stood in the server at `time`, by its own clock."""

    time: float
    places: dict[str, list[str]]
    """The job IDs in each place, in its order."""
    statuses: dict[str, str]
    """Of the jobs asked for; empty where there is none."""
    num_results: dict[str, int]
    executions: dict[str, Execution]
    """By the entry of the wip set, `<job>:<execution>`."""
    workers: dict[str, WorkerRecord]

    def num_leases_ended(self, time: float) -> int:
        return sum(execution.lease_end <= time for execution in self.executions.values())


def look(connection: redis.Redis, queue: str, job_ids: Sequence[str]) -> Snapshot:
    """Take a snapshot, in one atomic step."""
    keys = [f"rq:{place}:{queue}" for place in PLACES] + [f"rq:workers:{queue}"]
    answer: Any = connection.eval(_LOOK, len(keys), *keys, *job_ids)
    time, places, jobs, executions, workers = _decoded(answer)
    entries = dict(zip(PLACES, places, strict=True))
    composites = entries["wip"]
    entries["wip"] = [composite.rpartition(":")[0] for composite in composites]
    return Snapshot(
        time=float(time),
        places=entries,
        statuses={job_id: job[0] for job_id, job in zip(job_ids, jobs, strict=True)},
        num_results={job_id: job[1] for job_id, job in zip(job_ids, jobs, strict=True)},
        executions={
            composite: Execution(
                worker=worker,
                worker_of_job=worker_of_job,
                is_listed=bool(is_listed),
                lease_end=float(lease_end),
            )
            for composite, (worker, worker_of_job, is_listed, lease_end) in zip(
                composites, executions, strict=True
            )
        },
        workers={
            key.removeprefix("rq:worker:"): WorkerRecord(state=state, executions=frozenset(its))
            for key, state, its in workers
        },
    )


def _decoded(answer: Any) -> Any:
    if isinstance(answer, bytes):
        return answer.decode()
    return [_decoded(item) for item in answer] if isinstance(answer, list) else answer
