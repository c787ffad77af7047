"""A job's life, as people on call read it: whatever befell its workers."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis
from rq import Queue
from typer.testing import CliRunner, Result

from jobs import Client, JobLife, JobStatus, MsgpackSerializer
from jobs.connection import open_connection
from tests.integration.conftest import WorkerProcess
from tests.integration.job_mixes import long_jobs, question
from tests.waiting import until
from worker.cli import app


def kinds(life: JobLife) -> list[str]:
    return [event.kind.value for event in life.events]


@dataclass
class Story:
    """What three workers lived through, one after the other."""

    url: str
    queue: str
    job_ids: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    """Of the workers."""
    log: str = ""
    """Of the last one."""
    top: str = ""
    """What `rowmill top --once --json` printed while it ran."""

    def life(self, job: str) -> JobLife:
        with Client(self.url, self.queue) as client:
            return client.life(self.job_ids[job])

    def explain(self, job: str, *options: str) -> Result:
        words = ["result", "--explain", self.job_ids[job], "--redis", self.url, *options]
        return CliRunner().invoke(app, words)


class Stage:
    """Starts the workers, and waits for what happens to jobs."""

    def __init__(self, url: str, queue: str, folder: Path, client: Client) -> None:
        self.workers: dict[str, WorkerProcess] = {}
        self._url, self._queue, self._folder, self._client = url, queue, folder, client

    def start(self, name: str, *options: str) -> WorkerProcess:
        log = self._folder / f"{name}.log"
        worker = WorkerProcess(self._url, self._queue, log, ["--lease", "1", *options])
        self.workers[name] = worker
        worker.wait_until_ready()
        return worker

    def until(self, job_id: str, *events: str) -> None:
        def has_happened() -> bool:
            return set(events) <= set(kinds(self._client.life(job_id)))

        until(has_happened, what=f"{events} of {job_id}")

    def end(self) -> None:
        for worker in self.workers.values():
            worker.process.kill()
            worker.process.wait()


@pytest.fixture(scope="module")
def story(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    told = Story(url, f"q-{uuid4().hex[:8]}")
    folder = tmp_path_factory.mktemp("workers")
    with Client(url, told.queue) as client, open_connection(url) as connection:
        stage = Stage(url, told.queue, folder, client)
        try:
            _play(told, stage, client, connection)
            yield told
        finally:
            stage.end()


def _play(told: Story, stage: Stage, client: Client, connection: redis.Redis) -> None:
    long, *_ = long_jobs(1)
    ids = told.job_ids
    ids["killed"] = client.submit(long)
    first = stage.start("first")
    stage.until(ids["killed"], "claimed")
    first.process.kill()

    second = stage.start("second", "--log-level", "warning")
    client.result(ids["killed"], timeout=60)
    ids["fenced"] = client.submit(long)
    stage.until(ids["fenced"], "claimed")
    second.process.send_signal(signal.SIGSTOP)

    third = stage.start(
        "third", "--log-format", "json", "--log-level", "debug", "--drain-seconds", "0"
    )
    client.result(ids["fenced"], timeout=60)
    second.process.send_signal(signal.SIGCONT)
    until(lambda: {"late", "dropped"} & {*kinds(told.life("fenced"))}, what="the second to notice")
    second.process.kill()

    plain = Queue(told.queue, connection=connection, serializer=MsgpackSerializer)
    ids["plain"] = plain.enqueue("jobs.generate", **question(seed=3).fields()).id
    client.result(ids["plain"], timeout=60)
    ids["bad"] = client.submit(prompt_tokens=[10**6], tenant="acme")
    list(client.results([ids["bad"]], timeout=60))
    ids["cancelled"] = client.submit(long)
    stage.until(ids["cancelled"], "claimed")
    until(lambda: _running_rows(told), what="a heartbeat with rows")
    told.top = _top(told)
    client.cancel(ids["cancelled"])
    stage.until(ids["cancelled"], "dropped")
    ids["returned"] = client.submit(long)
    stage.until(ids["returned"], "claimed")
    third.process.send_signal(signal.SIGTERM)
    stage.until(ids["returned"], "returned")
    assert third.process.wait(60) == 0, third.log
    told.log = third.log


def _top(told: Story) -> str:
    words = ["top", "--once", "--json", "--queue", told.queue, "--redis", told.url]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def _running_rows(told: Story) -> int:
    return int(json.loads(_top(told))["totals"]["running_rows"])


def test_a_job_whose_worker_was_killed_tells_of_both(story: Story) -> None:
    life = story.life("killed")
    assert kinds(life) == ["pushed", "claimed", "lost", "claimed", "finished"]
    _, claimed, lost, again, finished = life.events
    assert claimed.worker == lost.worker != again.worker == finished.worker == life.worker
    assert (claimed.attempt, again.attempt) == (1, 2)
    assert claimed.execution_id == lost.execution_id
    phases = ["waiting", "running", "waiting", "running", "storing"]
    assert [phase.kind for phase in life.phases] == phases
    for phase, after in zip(life.phases, life.phases[1:], strict=False):
        assert phase.end == after.start, "no time is left out"
    (long,) = long_jobs(1)
    assert (life.prompt_tokens, life.num_samples) == (len(long.prompt_tokens), long.num_samples)
    assert life.num_rows == long.num_samples
    assert life.model is not None and life.reproducible is not None
    assert life.attempts is None, "who ends a job forgets them: its events have them"

    shown = story.explain("killed", "--queue", story.queue).stdout
    assert "finished" in shown and "lost: worker" in shown and "attempt 2" in shown


def test_a_fenced_job_tells_who_came_too_late(story: Story) -> None:
    life = story.life("fenced")
    assert kinds(life)[:5] == ["pushed", "claimed", "lost", "claimed", "finished"]
    (end,) = life.events[5:]
    assert end.kind in ("late", "dropped")
    assert end.worker == life.events[1].worker != life.worker


def test_a_job_of_plain_rq_begins_with_its_claim(story: Story) -> None:
    life = story.life("plain")
    assert kinds(life) == ["claimed", "finished"]
    assert [phase.kind for phase in life.phases] == ["waiting", "running", "storing"]
    assert life.created_at == life.phases[0].start
    assert (life.num_rows, life.queue, life.tenant) == (1, story.queue, None)


def test_a_cancelled_job_tells_when_its_rows_left_the_batch(story: Story) -> None:
    life = story.life("cancelled")
    assert kinds(life) == ["pushed", "claimed", "cancelled", "dropped"]
    assert life.status is JobStatus.CANCELLED
    assert [phase.kind for phase in life.phases] == ["waiting", "running"]


def test_a_job_that_was_given_back_waits_again(story: Story) -> None:
    life = story.life("returned")
    assert kinds(life) == ["pushed", "claimed", "returned"]
    assert life.status is JobStatus.QUEUED
    assert life.phases[-1].end is None and life.attempts == 0


def test_a_failed_job_tells_why_and_whose_it_was(story: Story) -> None:
    life = story.life("bad")
    assert kinds(life) == ["pushed", "claimed", "failed"]
    assert (life.tenant, life.queue) == ("acme", story.queue)
    assert life.error is not None and "token" in life.error
    assert life.error.splitlines()[0] in story.explain("bad").stdout


def test_a_machine_reads_the_same_as_json(story: Story) -> None:
    for job in story.job_ids:
        told = json.loads(story.explain(job, "--json").stdout)
        life = story.life(job)
        assert [event["kind"] for event in told["events"]] == kinds(life)
        assert told["status"] == life.status
        assert all(phase["seconds"] >= 0 for phase in told["phases"])


def test_a_job_that_is_not_there_is_told_and_the_others_are_explained(story: Story) -> None:
    result = story.explain("bad", "no-such-job", "--json")
    assert result.exit_code == 1
    assert "no-such-job" in result.stderr
    assert json.loads(result.stdout)["job_id"] == story.job_ids["bad"]


def test_top_shows_queues_workers_and_failures(story: Story) -> None:
    told = json.loads(story.top)
    name = story.life("cancelled").events[1].worker  # another may not have been dead for long
    (worker,) = [it for it in told["workers"] if it["name"] == name]
    assert (worker["model_name"], worker["state"]) == ("demo", "busy")
    assert 0 < worker["running_rows"] <= worker["max_rows"] == 64
    assert 0 < worker["kv_tokens"] <= worker["kv_budget_tokens"]
    assert worker["tokens_per_second"] > 0 and worker["num_finished"] == 2
    assert worker["reproducible"] == story.life("plain").reproducible

    queues = {it["tenant"]: it for it in told["queues"]}
    assert queues.keys() == {None, "acme"}
    assert (queues[None]["num_running"], queues[None]["num_finished"]) == (1, 3)
    assert queues["acme"]["num_failed"] == 1
    (failure,) = told["failures"]
    assert (failure["job_id"], failure["tenant"]) == (story.job_ids["bad"], "acme")
    assert failure["reason"] == (story.life("bad").error or "").splitlines()[0]


def test_a_worker_logs_json_lines_that_say_what_they_are_about(story: Story) -> None:
    lines = [json.loads(line) for line in story.log.splitlines()]
    assert all(line["worker"] == lines[0]["worker"] for line in lines)
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in lines)

    def about(job: str) -> list[tuple[str, dict[str, Any]]]:
        job_id = story.job_ids[job]
        return [(it["message"], it) for it in lines if it.get("job_id") == job_id]

    (_, failed), *_ = [its for its in about("bad") if its[0].startswith("a job fails")]
    assert (failed["tenant"], failed["queue"], failed["attempt"]) == ("acme", story.queue, 1)
    assert failed["execution_id"] and failed["level"] == "info"
    claimed, stored = [its for its in about("plain") if its[1]["level"] == "debug"]
    assert (claimed[0], stored[0]) == ("claimed", "stored")
    assert stored[1]["status"] == "finished"
    assert "given back" in dict(about("returned"))
    assert any("no longer ours" in message for message, _ in about("cancelled"))


@pytest.mark.parametrize("life", [b"\xff" * 5000, b"x" * 10**6, b"claimed,nan,,,;lost;;,", b""])
def test_what_strangers_write_there_harms_nobody(story: Story, life: bytes) -> None:
    with Client(story.url, story.queue) as client, open_connection(story.url) as connection:
        job_id = client.submit(prompt_tokens=[1])
        its = f"rq:job:{job_id}"
        hostile = {"life": life, "origin": b"\x00@\xff", "deadline": b"inf", "attempts": b"9" * 99}
        connection.hset(its, mapping={**hostile, "created_at": b"0001-01-01T00:00:00"})
        connection.set(f"rq:results:{job_id}", b"no stream")
        told = client.life(job_id)
        assert (told.events, told.queue, told.tenant, told.deadline) == ((), None, None, None)
        story.job_ids["hostile"] = job_id
        assert (
            story.explain("hostile").exit_code == story.explain("hostile", "--json").exit_code == 0
        )
        del story.job_ids["hostile"]
        connection.delete(its, f"rq:results:{job_id}")
