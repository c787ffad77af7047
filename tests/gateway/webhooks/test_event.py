"""A webhook tells what the server noted, the same each time, and nothing that somebody made up."""

from __future__ import annotations

import json
import zlib
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.webhooks.event import Event

URL = b"https://example.com/hook?token=s3cret"


def noted(
    *, url: bytes = URL, status: bytes = b"failed", tenant: bytes = b"", num_samples: bytes = b"4",
    reason: bytes = b"", ended_at: bytes = b"1764128000.25",
) -> list[bytes]:  # fmt: skip
    return [url, status, tenant, num_samples, reason, ended_at]


def test_a_job_s_end_as_json() -> None:
    reason = b64encode(zlib.compress(b"InvalidJobError: \xc3\xa4"))
    event = Event.read("a", "rowmill", noted(tenant=b"acme", reason=reason))
    assert json.loads(event.body()) == {
        "type": "job.failed",
        "timestamp": "2025-11-26T03:33:20.250Z",
        "data": {
            "job_id": "a",
            "status": "failed",
            "queue": "rowmill",
            "tenant": "acme",
            "num_rows": None,
            "error": "InvalidJobError: ä",
        },
    }
    done = Event.read("a", "rowmill", noted(status=b"finished"))
    assert json.loads(done.body())["data"]["num_rows"] == 4
    assert "s3cret" not in repr(done)


def test_its_id_is_that_of_one_end_of_one_job() -> None:
    first = Event.read("a", "q", noted())
    assert first.webhook_id == Event.read("a", "q", noted()).webhook_id
    others = [
        Event.read("b", "q", noted()),
        Event.read("a", "q", noted(status=b"cancelled")),
        Event.read("a", "q", noted(ended_at=b"1764128001.25")),
    ]
    assert len({event.webhook_id for event in (first, *others)}) == 4


@pytest.mark.parametrize("size", [10**4, 10**7])
def test_a_reason_that_inflates_is_cut(size: int) -> None:
    bomb = b64encode(zlib.compress(b"x" * size))
    event = Event.read("a", "q", noted(reason=bomb))
    assert event.error == "x" * 2000


@given(st.lists(st.binary(max_size=40), min_size=6, max_size=6), st.sampled_from(range(7)))
def test_what_the_server_did_not_note_is_a_value_error_or_an_event(
    fields: list[bytes], kept: int
) -> None:
    """`kept`: so many of the fields are good, so that the search comes to the others."""
    mixed = [*noted()[:kept], *fields[kept:]]
    try:
        event = Event.read("a", "q", mixed)
    except ValueError:
        return
    assert json.loads(event.body())["data"]["job_id"] == "a"
