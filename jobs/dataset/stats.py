"""What stats.json says: counts of the parts that stand, and how long each time took."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from jobs.dataset.progress import Progress
from jobs.provenance import Provenance


def session_stats(progress: Progress, provenances: Sequence[Provenance]) -> dict[str, Any]:
    """Of this time; `provenances`: all that rows came from."""
    started = datetime.datetime.fromtimestamp(progress.started_at, datetime.UTC)
    return {
        "started": started.isoformat(timespec="seconds"),
        "seconds": round(progress.seconds, 3),
        "inputs": progress.num_new,
        "rows": progress.num_rows,
        "tokens": progress.num_tokens,
        "failed": progress.num_failed,
        "tokens_per_second": round(progress.tokens_per_second, 1),
        "provenances": [its.model_dump() for its in provenances],
    }


def run_stats(
    totals: Mapping[str, Any], sessions: Sequence[Mapping[str, Any]], *, is_complete: bool
) -> dict[str, Any]:
    """`totals`: of the parts. A time that was ended by force is not among the `sessions`."""
    seconds = sum(session["seconds"] for session in sessions)
    tokens = sum(session["tokens"] for session in sessions)
    return {
        "is_complete": is_complete,
        **totals,
        "seconds": round(seconds, 3),
        "tokens_per_second": round(tokens / seconds, 1) if seconds else 0.0,
        "sessions": list(sessions),
    }
