"""/v1/jobs with a real worker: a job's rows are those of any producer's, and each tenant's own."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
import redis
from fastapi.testclient import TestClient

from jobs import Client
from tests.gateway.conftest import SERVED, Gateway
from tests.gateway.native.conftest import bearer
from tests.gateway.test_app import error_of
from tests.waiting import until
from vocab import load_tokenizer
from vocab.conversation import render_text

TEXT = "2 + 3 = "
JOB = {"prompt": TEXT, "num_samples": 3, "seed": 7, "max_tokens": 12}


@pytest.fixture
def direct(url: str, api: TestClient) -> Iterator[Client]:
    """A producer beside the gateway."""
    with Client(url, SERVED) as client:
        yield client


def pushed(api: TestClient, body: Any, **headers: str) -> list[str]:
    response = api.post("/v1/jobs", json=body, headers=headers)
    assert response.status_code == 202, response.text
    ids: list[str] = response.json()["ids"]
    return ids


def test_a_job_by_http_has_the_rows_of_any_producer_s(api: TestClient, direct: Client) -> None:
    (job_id,) = pushed(api, JOB)
    answer = api.get(f"/v1/jobs/{job_id}?wait=30").json()

    tokenizer = load_tokenizer("demo")
    tokens = render_text(TEXT, tokenizer)
    job = direct.submit(prompt_tokens=tokens, num_samples=3, seed=7, max_tokens=12)
    rows = direct.result(job, timeout=30).rows
    assert [tuple(row["tokens"]) for row in answer["rows"]] == [row.tokens for row in rows]
    assert [row["text"] for row in answer["rows"]] == [tokenizer.decode(row.tokens) for row in rows]
    assert answer["status"] == "finished" and answer["provenance"]["reproducible"] is True
    assert answer["created_at"] <= answer["started_at"] <= answer["ended_at"]
    assert "error" not in answer and "logprobs" not in answer["rows"][0]


def test_what_a_job_asks_for_is_told(api: TestClient) -> None:
    controls = {"logprobs": True, "top_logprobs": 2, "return_prompt_logprobs": True, "stop": ["9"]}
    (job_id,) = pushed(api, {"prompt_tokens": [49, 50, 51], "max_tokens": 4, **controls})
    answer = api.get(f"/v1/jobs/{job_id}?wait=30").json()
    (row,) = answer["rows"]
    assert len(row["logprobs"]) == len(row["tokens"]) == len(row["top_tokens"]) / 2
    assert len(answer["prompt_logprobs"]) == 2 and "9" not in row["text"]


def test_many_jobs_are_answered_in_their_order(api: TestClient) -> None:
    ids = pushed(api, {"jobs": [{**JOB, "seed": seed, "num_samples": 1} for seed in range(20)]})
    assert len(set(ids)) == 20
    texts = [api.get(f"/v1/jobs/{its}?wait=30").json()["rows"][0]["tokens"] for its in ids]
    again = pushed(api, {"jobs": [{**JOB, "seed": seed, "num_samples": 1} for seed in range(20)]})
    assert texts == [
        api.get(f"/v1/jobs/{its}?wait=30").json()["rows"][0]["tokens"] for its in again
    ]


def test_a_finished_job_is_never_told_without_its_rows(api: TestClient) -> None:
    for seed in range(20):
        (job_id,) = pushed(api, {**JOB, "seed": seed, "max_tokens": 1})
        while (answer := api.get(f"/v1/jobs/{job_id}").json())["status"] != "finished":
            assert "rows" not in answer
        assert len(answer["rows"]) == 3


def test_a_job_that_fails_says_why(api: TestClient) -> None:
    (job_id,) = pushed(api, {"prompt_tokens": [1], "regex": "(", "max_tokens": 4})
    answer = api.get(f"/v1/jobs/{job_id}?wait=30").json()
    assert answer["status"] == "failed" and "rows" not in answer
    assert answer["error"]["code"] == "job_refused" and "regex" in answer["error"]["message"]


BAD: list[tuple[Any, str | None, str]] = [
    ([], None, "must be an object"),
    ({}, "prompt_tokens", "leaving it out"),
    ({"prompt": "a", "prompt_tokens": [1]}, "prompt", "one or the other"),
    ({"prompt": 3}, "prompt", "must be text"),
    ({"prompt": "\ud800"}, None, "surrogates not allowed"),
    ({"prompt_tokens": [1], "num_samples": 0}, "num_samples", "from 1 to 65535"),
    ({"prompt_tokens": [1], "num_samples": 2.0}, "num_samples", "from 1 to 65535"),
    ({"prompt_tokens": [1], "temperature": -1}, "temperature", "from 0 to 10000"),
    ({"prompt_tokens": [1], "stop": [""]}, "stop", "strings of 1 to 256 characters"),
    ({"prompt_tokens": [1], "min_tokens": 5, "max_tokens": 4}, "min_tokens", "at most max_tokens"),
    ({"prompt_tokens": [1, 265]}, "prompt_tokens", "from 0 to 264, the model's vocabulary"),
    ({"prompt_tokens": [1] * 2000}, "prompt_tokens", "the model's context"),
    ({"prompt_tokens": [1], "max_tokens": 10**6}, "max_tokens", "at most"),
    ({"prompt_tokens": [1], "tenant": "other"}, "tenant", "left out"),
    ({"prompt_tokens": [1], "priority": 100}, "priority", "left out"),
    ({"prompt_tokens": [1], "reply_to": "other"}, "reply_to", "left out"),
    ({"prompt_tokens": [1], "nucleus": 1}, "nucleus", "deadline_seconds, stream, webhook_url"),
    ({"jobs": []}, "jobs", "1 to 1000"),
    ({"jobs": [JOB] * 1001}, "jobs", "a list of 1001"),
    ({"jobs": [JOB], "seed": 1}, "'seed'", "within one of them"),
    ({"jobs": [JOB, {**JOB, "seed": -1}]}, "jobs[1].seed", "from 0 to 18446744073709551615"),
    ({"jobs": [JOB, 3]}, "jobs[1].job", "an object"),
]


@pytest.mark.parametrize(("body", "param", "told"), BAD, ids=[f"{bad[1]}-{bad[2]}" for bad in BAD])
def test_bad_input_is_told_before_anything_is_queued(
    api: TestClient, connection: redis.Redis, body: Any, param: str | None, told: str
) -> None:
    before = connection.dbsize()
    headers = {"Content-Type": "application/json"}
    error = error_of(api.post("/v1/jobs", content=json.dumps(body), headers=headers), 400)
    assert error["param"] == param and told in error["message"]
    assert connection.dbsize() == before


@pytest.mark.parametrize(
    "body", [b"{", b"", b"\xff", b'{"seed": NaN}', b"[" * 100_000, b"9" * 5000]
)
def test_what_is_no_json_is_told(api: TestClient, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    error_of(api.post("/v1/jobs", content=body, headers=headers), 400)


@pytest.mark.parametrize("kind", ["text/plain", "multipart/form-data", "", "application/jsonp"])
def test_only_json_is_taken(api: TestClient, kind: str) -> None:
    response = api.post("/v1/jobs", content=b"{}", headers={"Content-Type": kind})
    assert error_of(response, 415)["param"] == "Content-Type"


def test_a_gateway_without_a_tokenizer_takes_tokens_alone(gateway: Gateway) -> None:
    client = gateway(model=None)
    error = error_of(client.post("/v1/jobs", json=JOB), 400)
    assert error["param"] == "prompt" and "no tokenizer" in error["message"]
    assert len(pushed(client, {"prompt_tokens": [1]})) == 1


# Access


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer rk-x", "Basic YTpi", "rk-x"])
def test_nothing_of_the_api_opens_without_a_key(api: TestClient, header: str | None) -> None:
    headers = {"Authorization": header} if header is not None else {}
    for method, path in (("POST", ""), ("GET", "/a"), ("DELETE", "/a"), ("GET", "/a/stream")):
        client = TestClient(api.app)  # without acme's key
        response = client.request(method, f"/v1/jobs{path}", headers=headers)
        error = error_of(response, 401)
        assert response.headers["www-authenticate"] == "Bearer"
        assert error["type"] == "authentication_error" and "rk-x" not in response.text


def test_a_tenant_sees_its_own_jobs_alone(
    api: TestClient, direct: Client, keys: dict[str, str]
) -> None:
    (mine,) = pushed(api, JOB)
    nobodys = direct.submit(prompt_tokens=[1], max_tokens=1)
    other = bearer(keys["other"])
    for job_id, headers in ((mine, other), (nobodys, other), (nobodys, {}), (uuid4().hex, {})):
        for method, path in (("GET", ""), ("GET", "?wait=9"), ("GET", "/stream"), ("DELETE", "")):
            response = api.request(method, f"/v1/jobs/{job_id}{path}", headers=headers)
            error = error_of(response, 404)
            assert error["message"] == f"job {job_id}: the server has no such job"
    assert api.get(f"/v1/jobs/{mine}").status_code == 200


def test_quotas_are_charged_before_anything_is_queued(
    api: TestClient, keys: dict[str, str], direct: Client
) -> None:
    poor = bearer(keys["poor"])
    body = {"prompt_tokens": [1] * 10, "max_tokens": 5, "num_samples": 2}
    assert api.post("/v1/jobs", json=body, headers=poor).status_code == 202
    response = api.post("/v1/jobs", json=body, headers=poor)
    error = error_of(response, 429)
    assert error["code"] == "rows_quota_used_up" and "rows_per_minute" in error["message"]
    assert 0 < int(response.headers["retry-after"]) <= 20
    error = error_of(api.post("/v1/jobs", json={**body, "num_samples": 4}, headers=poor), 400)
    assert error["param"] == "num_samples" and "whole quota is 3" in error["message"]
    error = error_of(api.post("/v1/jobs", json={**body, "max_tokens": 99}, headers=poor), 400)
    assert error["param"] == "max_tokens" and "whole quota is 100" in error["message"]


# Once and only once


def test_a_request_that_is_sent_again_makes_no_second_job(
    api: TestClient, keys: dict[str, str], connection: redis.Redis
) -> None:
    key = uuid4().hex
    body = {"jobs": [JOB, {**JOB, "seed": 8}]}
    ids = pushed(api, body, **{"Idempotency-Key": key})
    connection.delete(f"rq:job:{ids[1]}")  # as if the gateway had died between the two
    assert pushed(api, body, **{"Idempotency-Key": key}) == ids
    assert connection.exists(*(f"rq:job:{its}" for its in ids)) == 2
    others = pushed(api, body, **{"Idempotency-Key": key, **bearer(keys["other"])})
    assert not set(others) & set(ids), "a key is its tenant's own"

    response = api.post("/v1/jobs", json=JOB, headers={"Idempotency-Key": key})
    error = error_of(response, 422)
    assert error["param"] == "Idempotency-Key" and "another body" in error["message"]
    assert pushed(api, JOB, **{"Idempotency-Key": f"{key}-2"})[0] not in ids


def test_a_key_that_is_forgotten_leads_to_no_job_of_another_request(
    api: TestClient, connection: redis.Redis
) -> None:
    """Jobs that failed may be kept for longer than the key is."""
    key = {"Idempotency-Key": uuid4().hex}
    (old,) = pushed(api, JOB, **key)
    connection.delete(*connection.keys("rowmill:idempotency:*"))
    (new,) = pushed(api, {**JOB, "seed": 8}, **key)
    assert new != old and connection.exists(f"rq:job:{new}")


def test_the_same_request_many_times_at_once_makes_one_job(
    api: TestClient, connection: redis.Redis
) -> None:
    key, answers = {"Idempotency-Key": uuid4().hex}, []
    threads = [
        threading.Thread(target=lambda: answers.append(pushed(api, JOB, **key))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 8 and len({job_id for ids in answers for job_id in ids}) == 1


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 256, "é"])
def test_a_bad_idempotency_key_is_told(api: TestClient, key: str) -> None:
    headers = {"Idempotency-Key": key.encode()}
    response = api.post("/v1/jobs", json=JOB, headers=headers)  # type: ignore[arg-type]
    assert error_of(response, 400)["param"] == "Idempotency-Key"


def test_a_repeated_request_is_not_charged(api: TestClient, gateway: Gateway) -> None:
    key = {"Idempotency-Key": uuid4().hex}
    client = gateway(max_queued=1)
    assert pushed(client, {"prompt_tokens": [1]}, **key) == pushed(
        client, {"prompt_tokens": [1]}, **key
    ), "nor does it need room in the queue"
    error_of(client.post("/v1/jobs", json={"prompt_tokens": [1]}), 429)


# Waiting and withdrawing


def test_a_wait_ends_with_the_job_or_with_the_time(gateway: Gateway, url: str, queue: str) -> None:
    client = gateway(max_wait_seconds=0.2)
    (job_id,) = pushed(client, {"prompt_tokens": [1]})
    for wait in ("", "?wait=0.1", "?wait=3600"):
        assert client.get(f"/v1/jobs/{job_id}{wait}").json()["status"] == "queued"
    for wait in ("-1", "soon", "nan", "inf", "1e9"):
        assert error_of(client.get(f"/v1/jobs/{job_id}?wait={wait}"), 400)["param"] == "wait"


def test_a_cancelled_job_ends_who_waits_for_it(gateway: Gateway, queue: str) -> None:
    client = gateway()
    (job_id,) = pushed(client, {"prompt_tokens": [1]})
    answers: list[Any] = []
    waiting = threading.Thread(
        target=lambda: answers.append(client.get(f"/v1/jobs/{job_id}?wait=50").json())
    )
    waiting.start()
    assert client.delete(f"/v1/jobs/{job_id}").json() == {
        "id": job_id, "object": "job", "cancelled": True, "deleted": False
    }  # fmt: skip
    waiting.join()
    assert answers[0]["status"] == "cancelled" and answers[0]["error"]["code"] == "job_cancelled"
    assert client.get(f"/v1/jobs/{job_id}").json()["status"] == "cancelled"
    assert client.delete(f"/v1/jobs/{job_id}").json()["deleted"] is True
    error_of(client.get(f"/v1/jobs/{job_id}"), 404)
    error_of(client.delete(f"/v1/jobs/{job_id}"), 404)


def test_a_finished_job_is_deleted_with_its_rows(api: TestClient, connection: redis.Redis) -> None:
    (job_id,) = pushed(api, JOB)
    assert api.get(f"/v1/jobs/{job_id}?wait=30").json()["status"] == "finished"
    assert api.delete(f"/v1/jobs/{job_id}").json()["deleted"] is True
    assert not connection.exists(f"rq:job:{job_id}", f"rq:results:{job_id}")


def test_a_running_job_is_cancelled(api: TestClient) -> None:
    (job_id,) = pushed(api, {"prompt_tokens": [1], "num_samples": 2000, "ignore_eos": True})
    until(lambda: api.get(f"/v1/jobs/{job_id}").json()["status"] == "running", what="it to run")
    assert api.delete(f"/v1/jobs/{job_id}").json()["cancelled"] is True
    assert api.get(f"/v1/jobs/{job_id}?wait=30").json()["status"] == "cancelled"


@pytest.mark.parametrize("job_id", ["a b", "a@b", "x" * 129, "a:b", "%00", "é"])
def test_an_id_that_no_job_can_have_is_told(api: TestClient, job_id: str) -> None:
    error_of(api.get(f"/v1/jobs/{job_id}"), 400)
    error_of(api.delete(f"/v1/jobs/{job_id}"), 400)


def test_a_server_that_is_away_is_told(gateway: Gateway) -> None:
    client = gateway(redis_url="unix:///nowhere/at/all")
    for method, path in (("POST", ""), ("GET", "/a"), ("GET", "/a/stream"), ("DELETE", "/a")):
        response = client.request(method, f"/v1/jobs{path}", json={"prompt_tokens": [1]})
        assert error_of(response, 503)["code"] == "no_server"
        assert "nowhere" not in response.text and int(response.headers["retry-after"]) > 0
