"""How an overview is read: a few round trips whose number and size do not grow with the jobs.

No SCAN and no KEYS. What stands under the keys of jobs may be anything, and is read within limits.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from jobs.field_reading import count_of, name_of, number_of, rq_moment_of, text_of
from jobs.job_life import JobLife
from jobs.job_status import JobStatus
from jobs.life_event import parse_events
from jobs.life_reading import reason_of
from jobs.names import is_name
from jobs.overview import FailureView, Overview, QueueView, WorkerView
from jobs.server_call import Batch, Operation, command
from jobs.short_fields import Fields, short_fields

MOST_QUEUES = 100
"""That are shown, tenants' among them."""
_MOST_QUEUES_ASKED = 2000
MOST_WORKERS = 200
MOST_FAILURES = 10
_MOST_HEADS = 3
"""Jobs at the head of a queue whose age is asked: one that was given back looks younger than the
next."""

_QUEUES, _WORKERS = "rq:queues", "rq:workers"
_QUEUE, _WORKER = b"rq:queue:", b"rq:worker:"
_COUNTS = ("wip", "scheduled", "finished", "failed", "canceled")
_RECORD = (
    *("hostname", "pid", "queues", "state", "model", "model_name", "running_rows", "max_rows"),
    *("tokens_per_second", "prompt_tokens_per_second", "kv_tokens", "kv_budget_tokens"),
    *("reproducible", "beat_at", "last_heartbeat", "lease", "successful_job_count"),
    *("failed_job_count", "late_results", "memory_shortages"),
)


def read_overview(base: str | None, tenant: str | None = None) -> Operation[Overview]:
    """Of a queue with its tenants and workers, or with None of all that the server has.

    With a tenant, of the queues that one alone, which is there also without a job.
    """
    workers_key = _WORKERS if base is None else f"{_WORKERS}:{base}"
    (seconds, micros), queue_keys, worker_keys = yield Batch(
        (command("TIME"), command("SMEMBERS", _QUEUES), command("SMEMBERS", workers_key))
    )
    now = seconds + micros / 1e6
    workers, num_workers_left_out = yield from _workers(worker_keys or (), now)
    if tenant is None:
        names = _queue_names(queue_keys or (), workers, base)
    else:
        names = [f"{base}@{tenant}"]
    queues, failed = yield from _queues(names[:_MOST_QUEUES_ASKED], now)
    return Overview(
        now=now,
        queues=tuple(queues),
        workers=tuple(workers),
        failures=tuple((yield from _failures(failed))),
        num_queues_left_out=len(names) - len(queues),
        num_workers_left_out=num_workers_left_out,
    )


def _queue_names(
    keys: Sequence[bytes], workers: Sequence[WorkerView], base: str | None
) -> list[str]:
    """Also queues that have workers and never had a job."""
    stored = (text_of(key.removeprefix(_QUEUE)) for key in keys)
    served = (name for worker in workers for name in worker.queues)
    bases = {base} if base is not None else {name for name in served if is_name(name)}
    names = bases | {
        name
        for name in stored
        if all(map(is_name, _parts(name))) and base in (None, name.partition("@")[0])
    }
    return sorted(names, key=lambda name: (name.partition("@")[0] != base, name))


def _parts(name: str) -> list[str]:
    """A queue and perhaps a tenant."""
    return name.split("@", 1)


def _queues(names: Sequence[str], now: float) -> Operation[tuple[list[QueueView], dict[str, str]]]:
    """The queues with the most jobs waiting, and of jobs that failed last their queue by ID."""
    lengths = yield Batch(tuple(command("LLEN", f"rq:queue:{name}") for name in names))
    waiting = dict(zip(names, (length or 0 for length in lengths), strict=True))
    shown = sorted(names, key=lambda name: -waiting[name])[:MOST_QUEUES]
    shown.sort()
    answers = yield Batch(
        tuple(
            its
            for name in shown
            for its in (
                *(command("ZCARD", f"rq:{kind}:{name}") for kind in _COUNTS),
                command("LRANGE", f"rq:queue:{name}", 0, _MOST_HEADS - 1),
                command("ZREVRANGE", f"rq:failed:{name}", 0, MOST_FAILURES - 1),
            )
        )
    )
    size = len(_COUNTS) + 2
    per_queue = {name: answers[at * size : (at + 1) * size] for at, name in enumerate(shown)}
    heads = {name: _job_ids(its[-2]) for name, its in per_queue.items()}
    since = yield from _waiting_since([job_id for ids in heads.values() for job_id in ids])
    views = []
    for name, its in per_queue.items():
        running, scheduled, finished, failed, cancelled = (count or 0 for count in its[:-2])
        ages = [now - since[job_id] for job_id in heads[name] if job_id in since]
        queue, *tenant = _parts(name)
        views.append(
            QueueView(
                queue=queue,
                tenant=tenant[0] if tenant else None,
                num_waiting=waiting[name],
                num_running=running,
                num_scheduled=scheduled,
                num_finished=finished,
                num_failed=failed,
                num_cancelled=cancelled,
                oldest_seconds=max(0.0, *ages) if ages else None,
            )
        )
    failures = {job_id: name for name, its in per_queue.items() for job_id in _job_ids(its[-1])}
    return views, failures


def _waiting_since(job_ids: Sequence[str]) -> Operation[dict[str, float]]:
    """When jobs that wait began to, by the server's clock where it has noted that."""
    keys = [f"rq:job:{job_id}" for job_id in job_ids]
    found = yield from short_fields(keys, ("life", "enqueued_at"))
    since: dict[str, float] = {}
    for job_id, fields in zip(job_ids, found, strict=True):
        events, num_cut = parse_events(fields.get("life"))
        life = JobLife(
            job_id=job_id,
            status=JobStatus.QUEUED,
            now=0.0,
            enqueued_at=rq_moment_of(fields.get("enqueued_at")),
            events=events,
            num_cut=num_cut,
        )
        if life.phases and life.phases[-1].end is None:
            since[job_id] = life.phases[-1].start
    return since


def _failures(queues: Mapping[str, str]) -> Operation[list[FailureView]]:
    """The jobs among these that failed last."""
    job_ids = list(queues)
    keys = [f"rq:job:{job_id}" for job_id in job_ids]
    found = yield from short_fields(keys, ("status", "ended_at", "worker_name"))
    ended = {
        job_id: (rq_moment_of(fields.get("ended_at")), name_of(fields.get("worker_name")))
        for job_id, fields in zip(job_ids, found, strict=True)
        if fields.get("status") == b"failed"
    }
    last = sorted(ended, key=lambda job_id: -(ended[job_id][0] or 0.0))[:MOST_FAILURES]
    results = yield Batch(
        tuple(command("XREVRANGE", f"rq:results:{its}", "+", "-", "COUNT", 1) for its in last)
    )
    views = []
    for job_id, entries in zip(last, results, strict=True):
        queue, *tenant = _parts(queues[job_id])
        at, worker = ended[job_id]
        views.append(
            FailureView(
                job_id=job_id,
                queue=queue,
                tenant=tenant[0] if tenant else None,
                at=at,
                worker=worker,
                reason=_first_line(entries[0][1].get(b"exc_string") if entries else None),
            )
        )
    return views


def _first_line(reason: bytes | None) -> str:
    lines = reason_of(reason).strip().splitlines() if reason else []
    if lines and lines[0].startswith("Traceback"):
        return lines[-1][:500]
    return lines[0][:500] if lines else "its worker gave no reason"


def _workers(keys: Sequence[bytes], now: float) -> Operation[tuple[list[WorkerView], int]]:
    """Those whose record is there, and how many more there may be."""
    names = sorted(filter(None, (name_of(key.removeprefix(_WORKER)) for key in keys)))
    asked = names[:MOST_WORKERS]
    records = yield Batch(tuple(command("HMGET", f"rq:worker:{name}", *_RECORD) for name in asked))
    views = []
    for name, values in zip(asked, records, strict=True):
        pairs = zip(_RECORD, values or (), strict=False)
        fields = {field: value for field, value in pairs if value is not None}
        if fields:
            views.append(_worker(name, fields, now))
    return views, len(names) - len(asked)


def _worker(name: str, fields: Fields, now: float) -> WorkerView:
    def count(field: str) -> int | None:
        return count_of(text_of(fields.get(field)))

    def number(field: str) -> float | None:
        return number_of(text_of(fields.get(field)))

    beat = number("beat_at") or rq_moment_of(fields.get("last_heartbeat"))
    is_reproducible = count("reproducible")
    return WorkerView(
        name=name,
        host=text_of(fields.get("hostname")) or None,
        pid=count("pid"),
        queues=tuple(filter(None, text_of(fields.get("queues")).split(","))),
        state=text_of(fields.get("state")) or None,
        model=text_of(fields.get("model")) or None,
        model_name=text_of(fields.get("model_name")) or None,
        running_rows=count("running_rows"),
        max_rows=count("max_rows"),
        tokens_per_second=number("tokens_per_second"),
        prompt_tokens_per_second=number("prompt_tokens_per_second"),
        kv_tokens=count("kv_tokens"),
        kv_budget_tokens=count("kv_budget_tokens"),
        reproducible=None if is_reproducible is None else bool(is_reproducible),
        heartbeat_seconds=None if beat is None else max(0.0, now - beat),
        lease=number("lease"),
        num_finished=count("successful_job_count") or 0,
        num_failed=count("failed_job_count") or 0,
        late_results=count("late_results") or 0,
        memory_shortages=count("memory_shortages") or 0,
    )


def _job_ids(raw: Sequence[Any] | None) -> list[str]:
    return list(filter(None, map(name_of, raw or ())))
