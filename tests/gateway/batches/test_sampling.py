"""A batch's requests on their way, and what is left of them when it ends early."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from gateway.batches.batch import RequestCounts
from gateway.batches.counts import Counts
from gateway.batches.endpoint import endpoints
from gateway.batches.requests import TENANT, Requests
from gateway.batches.results import Results, line_of, place_of
from gateway.batches.sampling import Sampling
from gateway.openai.asked import Served
from jobs import Client, JobNotFoundError, SampledRows
from jobs.dataset.failure import Failure
from tests.gateway.batches.conftest import MODEL, QUEUE, content_of, line
from vocab import load_tokenizer

LINES = [line(0), line(1, model="other"), line(2, prompt=["a", "b"]), line(3), line(4)]
PLACES = [place_of(0, 0), place_of(2, 0), place_of(2, 1), place_of(3, 0), place_of(4, 0)]
JOBS = {"max_tokens": 1, "tenant": TENANT}


class Ended(Exception):
    pass


@pytest.fixture
def requests(tmp_path: Path) -> Requests:
    path = tmp_path / "input.jsonl"
    path.write_bytes(content_of(LINES))
    endpoint = endpoints(Served(MODEL, load_tokenizer(MODEL)))["/v1/completions"]
    return Requests(path, endpoint, max_line_bytes=10_000, check=lambda: None)


@pytest.fixture
def results(tmp_path: Path) -> Iterator[Results]:
    with Results(tmp_path / "journal") as opened:
        yield opened


def sampling(requests: Requests, results: Results, queue: str, in_flight: int = 9) -> Any:
    return Sampling(f"batch-{uuid4().hex}", queue, requests, results, in_flight=in_flight)


def end() -> None:
    raise Ended


def test_requests_are_the_same_each_time_that_they_are_read(requests: Requests) -> None:
    first, second = [[job for its in requests for job in its.jobs()] for _ in range(2)]
    assert first == second
    assert [place for place, _ in first] == PLACES
    assert {(job.tenant, job.priority) for _, job in first} == {(TENANT, 1)}


def test_results_are_there_again_when_the_journal_is_opened(
    url: str, requests: Requests, results: Results, tmp_path: Path
) -> None:
    counts = Counts(len(LINES))
    with Client(url, QUEUE) as client:
        sampling(requests, results, QUEUE).run(client, counts, lambda: None)
    assert counts.now == RequestCounts(total=5, completed=4, failed=1)
    with Results(tmp_path / "journal") as opened:
        assert [opened.get(place) for place in PLACES] == [results.get(place) for place in PLACES]
        assert all(isinstance(opened.get(place), SampledRows) for place in PLACES)
        again = Counts(len(LINES))
        with Client(url, "nobody") as client:  # nothing is pushed, so nobody is waited for
            sampling(requests, opened, "nobody").run(client, again, lambda: None)
        assert again.now == counts.now


def test_what_ended_on_the_server_is_kept_and_the_rest_leaves_the_queue(
    url: str, requests: Requests, results: Results
) -> None:
    its = sampling(requests, results, QUEUE)
    ids = [its._job_id(place) for place in PLACES]
    with Client(url, QUEUE) as served, Client(url, f"q-{uuid4().hex}") as unserved:
        served.submit(prompt_tokens=(1,), job_id=ids[0], **JOBS)
        rows = served.result(ids[0], 60)
        served.submit(prompt_tokens=(10**6,), job_id=ids[1], **JOBS)
        list(served.results([ids[1]], 60))
        unserved.submit(prompt_tokens=(1,), job_id=ids[2], **JOBS)
        its.withdraw(served)
        assert unserved.num_queued(TENANT) == 0
        for job_id in ids:
            with pytest.raises(JobNotFoundError):
                served.status(job_id)
    found = [results.get(place) for place in PLACES]
    assert found[0] == rows and isinstance(found[1], Failure)
    assert found[2:] == [None, None, None]


def test_no_more_jobs_than_are_allowed_are_on_the_way(
    url: str, requests: Requests, results: Results
) -> None:
    queue = f"q-{uuid4().hex}"
    its, seen = sampling(requests, results, queue, in_flight=2), list[int]()
    with Client(url, queue) as client:

        def look() -> None:
            seen.append(client.num_queued(TENANT))
            if len(seen) == 3:
                end()

        with pytest.raises(Ended):
            its.run(client, Counts(len(LINES)), look)
        assert seen == [0, 2, 2]
        its.withdraw(client)
        assert client.num_queued(TENANT) == 0


def test_places_are_told_apart() -> None:
    places = [place_of(line, prompt) for line in range(3) for prompt in (0, 1, 2**16 - 1)]
    assert places == sorted(set(places))
    assert [line_of(place) for place in places] == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_a_line_fails_with_one_of_its_prompts() -> None:
    counts = Counts(3)
    counts.begin(0, 2)
    counts.begin(1, 1)
    counts.end(place_of(0, 0), has_failed=True)
    assert counts.now == RequestCounts(total=3)
    counts.end(place_of(1, 0), has_failed=False)
    counts.end(place_of(0, 1), has_failed=False)
    counts.refuse()
    assert counts.now == RequestCounts(total=3, completed=1, failed=2)
