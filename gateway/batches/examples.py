"""Examples for the OpenAPI document."""

from __future__ import annotations

from typing import Any

from gateway.batches.batch import Batch, RequestCounts
from gateway.batches.stored_file import StoredFile

_FILE_ID = "file-18eb7c6da43c3f6395d63068d7f0f539"
_BATCH_ID = "batch_18eb7c6db02f114c2a7d30f2e8b6c1d4"
_OUTPUT_ID = "file-18eb7c6e0b53aa1f64b2c9d8e7f6a5b4"
_CREATED_AT = 1_795_665_686

A_FILE = StoredFile(
    id=_FILE_ID, filename="in.jsonl", purpose="batch", bytes=1234, created_at=_CREATED_AT
).view()
FILE_LINE = (
    '{"custom_id":"a","method":"POST","url":"/v1/completions",'
    '"body":{"model":"demo","prompt":"What is 3 + 4?","n":2,"max_tokens":24}}\n'
)
DELETED = {"id": _FILE_ID, "object": "file", "deleted": True}
NEW_BATCH: dict[str, Any] = {
    "input_file_id": _FILE_ID,
    "endpoint": "/v1/completions",
    "completion_window": "24h",
    "metadata": {"for": "the evaluation"},
}
A_BATCH = Batch(
    id=_BATCH_ID,
    endpoint="/v1/completions",
    input_file_id=_FILE_ID,
    status="completed",
    created_at=_CREATED_AT,
    expires_at=_CREATED_AT + 86_400,
    in_progress_at=_CREATED_AT + 1,
    finalizing_at=_CREATED_AT + 60,
    completed_at=_CREATED_AT + 61,
    output_file_id=_OUTPUT_ID,
    request_counts=RequestCounts(total=1000, completed=1000),
    metadata={"for": "the evaluation"},
    tenant=None,
    queue="rowmill",
    deadline=0,
).view()


def page_of(one: dict[str, Any]) -> dict[str, Any]:
    return {
        "object": "list",
        "data": [one],
        "first_id": one["id"],
        "last_id": one["id"],
        "has_more": False,
    }
