"""Answers as they look, for the OpenAPI document."""

from __future__ import annotations

from typing import Any


def _json(description: str, example: dict[str, Any]) -> dict[str, Any]:
    return {
        "description": description,
        "content": {"application/json": {"example": example}},
    }


_ID = "c0a5e3f0a1d54d9d8f3c5b1e7a2f4d60"
_DELTAS = """\
event: delta
data: {"row":0,"start":0,"tokens":[53],"masks":[1],"text":"5"}

event: delta
data: {"row":0,"start":1,"tokens":[258],"masks":[1],"text":"","finish_reason":"stop"}

event: done
data: {"id":"c0a5e3f0a1d54d9d8f3c5b1e7a2f4d60","status":"finished"}

"""

ACCEPTED = _json("The jobs are queued.", {"ids": [_ID]})
FINISHED = _json(
    "The job as it is now.",
    {
        "id": _ID,
        "object": "job",
        "status": "finished",
        "created_at": "2026-03-01T12:00:00.000000Z",
        "started_at": "2026-03-01T12:00:00.020000Z",
        "ended_at": "2026-03-01T12:00:00.090000Z",
        "rows": [{"tokens": [53, 258], "masks": [1, 1], "finish_reason": "stop", "text": "5"}],
    },
)
CANCELLED = _json(
    "The job was withdrawn.", {"id": _ID, "object": "job", "cancelled": True, "deleted": False}
)
STREAM: dict[str, Any] = {
    "description": "The rows.",
    "content": {"text/event-stream": {"schema": {"type": "string"}, "example": _DELTAS}},
}
