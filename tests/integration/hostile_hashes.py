"""What a producer may put around a payload: odd fields, odd IDs, odd types under a job's keys."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator

from tests.integration.hostile_job import Ending, HostileJob, rq_fields
from tests.integration.payloads import good_payload

Jobs = Iterator[HostileJob]

GOOD = zlib.compress(good_payload())

TEXTS: tuple[bytes, ...] = (
    *(b"", b"x", b"-1", b"0", b"1.5", b"nan", b"inf", b"-inf", b"1e400", b"0x10", b"1_0", b" 7"),
    *(b"9" * 19, b"9" * 400, b"-" + b"9" * 400, b"\xff\xfe", b"\0", b"a\nb", b"{", b"[" * 5000),
    *(b"True", b"null", b"\x80\x04.", b"a" * 100_000),
)

SHORT = (b"0", b"1.5", b"0x10", b" 7")
"""Of these a lifetime is over before a test can look."""

HARMLESS = [
    *("enqueued_at", "started_at", "ended_at", "last_heartbeat", "worker_name"),
    *("description", "origin", "meta", "result", "exc_info", "ttl", "failure_ttl", "group_id"),
    *("dependency_id", "dependency_ids", "allow_dependency_failures", "enqueue_at_front"),
    *("retry_intervals", "number_of_retries", "enqueue_at_front_on_retry"),
    *("repeat_intervals", "rate_limit_concurrency", "success_callback_timeout"),
    *("tenant", "reply_to", "webhook_url", "a field of its own"),
]
"""Whatever stands there, the job runs."""

TELLING = [
    *("timeout", "deadline", "attempts", "repeats_left", "rate_limit_key", "webhooks"),
    *("created_at", "num_samples", "retries_left"),
]
"""What stands there may also be a reason to fail the job."""

ODD_IDS = [
    *(b"", b" ", b"a b", b"a:b", b"a\nb", b"a\0b", b"\xff\xfe", b"\xc3\xa4", b"../../x", b"{}"),
    *(b"%s", b"%n", b"a.b", b"a@b", b"-\r\n*1\r\n", b"'", b'"', b"$(true)", b"\xe2\x80\xae"),
]

OTHER_STATUSES = [
    *("started", "finished", "failed", "canceled", "stopped", "deferred", "scheduled", "created"),
    *("Queued", "queued ", "queued\0", "", "x" * 100_000),
]


def all_jobs() -> Jobs:
    yield from (*_fields(), *_callbacks(), *_missing(), *_statuses(), *_ids(), *_keys())


def _fields() -> Jobs:
    """Fields that RQ, Rowmill or a newer Rowmill reads; the payload is good."""
    endings = dict.fromkeys(HARMLESS, Ending.RUNS) | dict.fromkeys(TELLING, Ending.RUNS_OR_FAILS)
    for name, ending in endings.items():
        for n, text in enumerate(TEXTS):
            if name == "repeats_left" and text.isdigit() and int(text):
                continue  # RQ would do it as often as that
            yield HostileJob(name=f"{name}-{n}", ending=ending, data=GOOD, fields={name: text})
    for n, text in enumerate(TEXTS):
        if text not in SHORT:
            fields = {"result_ttl": text, "failure_ttl": text}
            yield HostileJob(name=f"result_ttl-{n}", ending=Ending.RUNS, data=GOOD, fields=fields)
            yield HostileJob(
                name=f"failure_ttl-{n}-failed", ending=Ending.FAILS, data=b"\0", fields=fields
            )
    yield HostileJob(
        name="timeout-short", ending=Ending.FAILS, data=GOOD, fields={"timeout": "1e-9"}
    )
    yield HostileJob(
        name="origin-elsewhere",
        ending=Ending.RUNS,
        data=GOOD,
        fields={"origin": "another-queue", "retries_left": "1000000"},
    )
    yield HostileJob(
        name="more-rows-than-counted", ending=Ending.FAILS, data=GOOD, fields={"num_samples": "1"}
    )
    hook = {"url": "file:///etc/passwd", "job_status": "failed"}
    for n, hooks in enumerate(([hook], [{}], {}, [1], "x", [[]] * 1000)):
        yield HostileJob(
            name=f"webhooks-json-{n}",
            ending=Ending.FAILS,
            data=b"\0",
            fields={"webhooks": json.dumps(hooks)},
        )
    yield HostileJob(
        name="bomb-with-follow-up",
        ending=Ending.FAILS,
        data=zlib.compress(bytes(2**29), 9),
        fields={"rate_limit_key": "x"},
    )


def _callbacks() -> Jobs:
    for kind in ("success", "failure", "stopped"):
        for n, function in enumerate((b"os.system", b"x", b"\xff", b"a" * 100_000)):
            yield HostileJob(
                name=f"{kind}_callback-{n}",
                ending=Ending.FAILS,
                data=GOOD,
                fields={f"{kind}_callback_name": function},
            )


def _missing() -> Jobs:
    for name in rq_fields("", b""):
        ending = {"status": Ending.DROPPED, "data": Ending.FAILS}.get(name, Ending.RUNS)
        yield HostileJob(name=f"no-{name}", ending=ending, data=GOOD, fields={name: None})
    only_status = {name: None for name in rq_fields("", b"") if name != "status"}
    yield HostileJob(name="only-status", ending=Ending.FAILS, data=b"", fields=only_status)


def _statuses() -> Jobs:
    for n, status in enumerate(OTHER_STATUSES):
        yield HostileJob(
            name=f"status-{n}", ending=Ending.DROPPED, data=GOOD, fields={"status": status}
        )


def _ids() -> Jobs:
    for n, job_id in enumerate(ODD_IDS):
        yield HostileJob(name=f"id-{n}", ending=Ending.FAILS, data=GOOD, job_id=job_id)
    for size in (128, 129, 100_000):
        yield HostileJob(
            name=f"id-of-{size}", ending=Ending.RUNS_OR_FAILS, data=GOOD, job_id=b"i" * size
        )
    yield HostileJob(name="id-of-nothing", ending=Ending.DROPPED, data=GOOD, is_hash=False)
    every_byte = bytes(range(256))
    yield HostileJob(
        name="id-of-bytes", ending=Ending.DROPPED, data=GOOD, is_hash=False, job_id=every_byte
    )
    yield HostileJob(name="id-twice", ending=Ending.RUNS, data=GOOD, num_pushes=2)
    yield HostileJob(name="id-often", ending=Ending.FAILS, data=b"\0", num_pushes=100)


def _keys() -> Jobs:
    """Something else under a job's keys. ID stands for the job's ID."""
    writes: dict[str, tuple[bytes | str, ...]] = {
        "string": ("SET", "", "x"),
        "list": ("RPUSH", "", "x"),
        "set": ("SADD", "", "x"),
        "zset": ("ZADD", "", "1", "x"),
        "stream": ("XADD", "", "*", "type", "1"),
        "hash": ("HSET", "", "x", "y"),
    }
    keys = {
        "job": ("rq:job:ID", Ending.DROPPED),
        "results": ("rq:results:ID", Ending.RUNS),
        "executions": ("rq:executions:ID", Ending.RUNS_OR_FAILS),
        "dependents": ("rq:job:ID:dependents", Ending.RUNS),
        "dependencies": ("rq:job:ID:dependencies", Ending.RUNS),
    }
    for place, (key, ending) in keys.items():
        for kind, (command, _, *arguments) in writes.items():
            yield HostileJob(
                name=f"key-{place}-{kind}",
                ending=ending,
                data=GOOD,
                is_hash=place != "job",
                commands=((command, key, *arguments),),
            )
    last = f"{2**64 - 1}-{2**64 - 1}"
    yield HostileJob(
        name="key-results-exhausted",
        ending=Ending.RUNS,
        data=GOOD,
        commands=(("XADD", "rq:results:ID", last, "type", "1"),),
    )
    yield HostileJob(
        name="key-results-strange",
        ending=Ending.RUNS,
        data=GOOD,
        commands=(("XADD", "rq:results:ID", "*", "type", "\xff", "return_value", "!"),),
    )
