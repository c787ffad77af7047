"""Batches, as OpenAI's own client makes and follows them."""

from __future__ import annotations

import itertools
from typing import Any

import openai
import pytest

from jobs import Client
from jobs.dataset.seeds import derive_seed
from tests.gateway.batches.conftest import (
    QUEUE,
    Gateways,
    Lines,
    completed,
    content_of,
    create,
    ended,
    in_progress,
    line,
    read,
    upload,
)

CHAT = "/v1/chat/completions"
NOBODY = "nobody"
"""A queue without workers."""


def without_times(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in ("id", "created")}


def answers(lines: Lines) -> dict[str, dict[str, Any]]:
    assert len({one["id"] for one in lines}) == len(lines)
    return {one["custom_id"]: one for one in lines}


def test_lines_are_answered_as_their_route_answers(theirs: openai.OpenAI) -> None:
    lines = [
        line(0, seed=1),
        line(1, seed=2, n=3, logprobs=2, echo=True),
        line(2, seed=3, prompt=["What is 1+2?", [256, 65, 66]], n=2),
        line(3, seed=4, stop=["\n"], return_token_ids=True),
    ]
    batch = create(theirs, lines, metadata={"for": "test"})
    assert (batch.object, batch.status, batch.errors) == ("batch", "validating", None)
    assert batch.expires_at == batch.created_at + 86_400
    batch = ended(theirs, batch.id)
    assert batch.status == "completed" and batch.error_file_id is None
    assert batch.metadata == {"for": "test"}
    counts = batch.request_counts
    assert counts and (counts.total, counts.completed, counts.failed) == (4, 4, 0)
    assert batch.in_progress_at and batch.finalizing_at and batch.completed_at
    assert batch.output_file_id
    file = theirs.files.retrieve(batch.output_file_id)
    assert file.purpose == "batch_output" and file.filename == f"{batch.id}_output.jsonl"

    found = read(theirs, batch.output_file_id)
    assert [one["custom_id"] for one in found] == ["q0", "q1", "q2", "q3"]
    for asked, got in zip(lines, found, strict=True):
        response = got["response"]
        assert response["status_code"] == 200 and got["error"] is None
        direct = theirs.post("/completions", body=asked["body"], cast_to=object)
        assert without_times(response["body"]) == without_times(direct)  # type: ignore[arg-type]
        assert response["body"]["id"].startswith("cmpl-")


def test_chats_are_answered_too(theirs: openai.OpenAI) -> None:
    messages = [{"role": "user", "content": "What is 3 + 4?"}]
    lines = [line(n, CHAT, messages=messages, seed=n, logprobs=True) for n in range(3)]
    batch = ended(theirs, create(theirs, lines, CHAT).id)
    for asked, got in zip(lines, read(theirs, batch.output_file_id), strict=True):
        direct = theirs.post("/chat/completions", body=asked["body"], cast_to=object)
        assert without_times(got["response"]["body"]) == without_times(direct)  # type: ignore[arg-type]


def test_a_line_without_a_seed_gets_that_of_its_id(theirs: openai.OpenAI) -> None:
    lines = [line(number, temperature=2.0) for number in range(2)]
    first = ended(theirs, create(theirs, lines).id)
    other = ended(theirs, create(theirs, lines[::-1]).id)  # where a line stands does not matter
    bodies = [
        {name: without_times(one["response"]["body"]) for name, one in answers(found).items()}
        for found in (read(theirs, its.output_file_id) for its in (first, other))
    ]
    assert bodies[0] == bodies[1]
    seeds = {name: body["seed"] for name, body in bodies[0].items()}
    assert seeds == {name: derive_seed(0, 0, name) % 2**53 for name in ("q0", "q1")}


def test_a_bad_body_is_the_error_of_its_line(theirs: openai.OpenAI) -> None:
    bad: Lines = [
        line(1, max_tokens=0),
        line(2, model="other"),
        line(3, prompt=[10**6]),  # beyond the vocabulary, as workers tell
        line(6, prompt=["What?", "x" * 5000]),
        line(4, stream=True),
        line(5, surprise=1),
    ]
    batch = ended(theirs, create(theirs, [line(0), *bad]).id)
    assert batch.status == "completed"
    counts = batch.request_counts
    assert counts and (counts.total, counts.completed, counts.failed) == (7, 1, 6)
    assert list(answers(read(theirs, batch.output_file_id))) == ["q0"]
    found = read(theirs, batch.error_file_id)
    assert [one["custom_id"] for one in found] == [one["custom_id"] for one in bad]
    for asked, got in zip(bad, found, strict=True):
        assert got["error"] is None
        response = got["response"]
        if "stream" in asked["body"]:
            assert response["status_code"] == 400
            assert response["body"]["error"]["param"] == "stream"
            continue
        with pytest.raises(openai.APIStatusError) as raised:
            theirs.post("/completions", body=asked["body"], cast_to=object)
        assert response["status_code"] == raised.value.status_code
        assert response["body"]["error"] == raised.value.body


@pytest.mark.parametrize(
    ("lines", "errors"),
    [
        (b"", [("empty_file", None, None)]),
        ([line(1), line(1)], [("duplicate_custom_id", 2, "custom_id")]),
        (
            content_of([line(1)]) + b"{\n" + content_of([line(2, CHAT)]),
            [("invalid_json_line", 2, None), ("invalid_url", 3, "url")],
        ),
    ],
)
def test_a_bad_file_fails_with_its_lines_and_fields(
    theirs: openai.OpenAI, lines: Any, errors: list[tuple[str, int | None, str | None]]
) -> None:
    batch = ended(theirs, create(theirs, lines).id)
    assert batch.status == "failed" and batch.failed_at and batch.in_progress_at is None
    assert batch.errors and batch.errors.data
    assert [(error.code, error.line, error.param) for error in batch.errors.data] == errors
    assert batch.output_file_id is None and batch.error_file_id is None


def test_a_batch_of_a_file_that_is_not_there_is_refused(theirs: openai.OpenAI) -> None:
    asked: dict[str, Any] = {"endpoint": "/v1/completions", "completion_window": "24h"}
    with pytest.raises(openai.NotFoundError) as raised:
        theirs.batches.create(input_file_id="file-none", **asked)
    assert raised.value.param == "input_file_id"
    output = ended(theirs, create(theirs, [line(0)]).id).output_file_id
    assert output
    with pytest.raises(openai.BadRequestError, match="batch_output"):
        theirs.batches.create(input_file_id=output, **asked)
    for name in ("batch_none", "../x", "batch_" + "0" * 32):
        with pytest.raises(openai.NotFoundError):
            theirs.batches.retrieve(name)


def test_a_batch_goes_on_without_its_input_file(gateways: Gateways) -> None:
    with gateways.one(queue=NOBODY) as client:
        file_id = upload(client, content_of([line(0)]))
        batch = client.batches.create(
            input_file_id=file_id, endpoint="/v1/completions", completion_window="24h"
        )
        client.files.delete(file_id)
        in_progress(client, batch.id, completed(0))


def test_batches_are_listed_by_pages_the_newest_first(gateways: Gateways) -> None:
    with gateways.one(queue=NOBODY) as client:
        ids = [create(client, [line(0)]).id for _ in range(3)]
        assert [batch.id for batch in client.batches.list(limit=2)] == ids[::-1]
        page = client.batches.list(limit=2)
        assert [batch.id for batch in page.data] == ids[:0:-1] and page.has_more


def test_a_cancelled_batch_keeps_what_is_done(gateways: Gateways, url: str) -> None:
    with gateways.one(in_flight=1) as client:
        lines = [line(number, n=4, max_tokens=64, ignore_eos=True) for number in range(300)]
        batch = create(client, lines)
        in_progress(client, batch.id, completed(2))
        assert client.batches.cancel(batch.id).status == "cancelling"
        batch = ended(client, batch.id)
        assert batch.status == "cancelled" and batch.cancelling_at and batch.cancelled_at
        done, rest = read(client, batch.output_file_id), read(client, batch.error_file_id)
        counts = batch.request_counts
        assert counts and counts.completed == len(done) >= 2
        assert counts.failed == 0 and counts.total == len(lines) == len(done) + len(rest)
        assert answers([*done, *rest]).keys() == {one["custom_id"] for one in lines}
        assert all(one["response"] is None for one in rest)
        assert {one["error"]["code"] for one in rest} == {"batch_cancelled"}
        with pytest.raises(openai.ConflictError):
            client.batches.cancel(batch.id)


def test_a_batch_expires_and_leaves_the_queue(gateways: Gateways, url: str) -> None:
    queue = "nobody-else"
    with gateways.one(queue=queue, window_seconds=3) as client, Client(url, queue) as ours:
        batch = create(client, [line(number) for number in range(5)])
        in_progress(client, batch.id, lambda batch: ours.num_queued("rowmill.batches") == 5)
        batch = ended(client, batch.id)
        assert batch.status == "expired" and batch.expired_at and batch.finalizing_at
        assert batch.output_file_id is None
        rest = read(client, batch.error_file_id)
        assert [one["error"]["code"] for one in rest] == ["batch_expired"] * 5
        assert ours.num_queued("rowmill.batches") == 0


def test_a_caller_may_have_so_many_batches_at_once(gateways: Gateways) -> None:
    with gateways.one(queue=NOBODY, max_active=2) as client:
        first = create(client, [line(0)])
        create(client, [line(0)])
        with pytest.raises(openai.RateLimitError, match="2 at once") as raised:
            create(client, [line(0)])
        assert raised.value.response.headers["retry-after"]
        client.batches.cancel(first.id)
        ended(client, first.id)
        create(client, [line(0)])


def test_more_batches_than_run_at_once_wait_for_their_turn(gateways: Gateways) -> None:
    with gateways.one(at_once=1) as client:
        ids = [create(client, [line(number)]).id for number in range(4)]
        done = [ended(client, batch_id) for batch_id in ids]
        assert [batch.status for batch in done] == ["completed"] * 4
        times = [(batch.in_progress_at, batch.completed_at) for batch in done]
        assert all(a <= b for (_, a), (_, b) in itertools.pairwise(times))  # type: ignore[operator]


def test_jobs_of_batches_stand_apart_from_those_of_callers(gateways: Gateways, url: str) -> None:
    with gateways.one(in_flight=8) as client, Client(url, QUEUE) as ours:
        lines = [line(n, n=8, max_tokens=64, ignore_eos=True) for n in range(200)]
        batch = create(client, lines)
        in_progress(client, batch.id, lambda batch: ours.num_queued("rowmill.batches") > 0)
        assert ours.num_queued("rowmill.batches") <= 8 and ours.num_queued() == 0
        client.completions.create(model="demo", prompt="1 + 2", max_tokens=4)
        assert client.batches.retrieve(batch.id).status == "in_progress"
        client.batches.cancel(batch.id)
        ended(client, batch.id)
