"""Lists, a page at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Protocol


class Listed(Protocol):
    @property
    def id(self) -> str: ...

    def view(self) -> dict[str, Any]:
        """As callers see it."""


def page(found: Iterable[Listed], limit: int) -> dict[str, Any]:
    """The first `limit` of what was found, in OpenAI's shape; no more than one other is read."""
    first = list(islice(found, limit + 1))
    shown = first[:limit]
    return {
        "object": "list",
        "data": [one.view() for one in shown],
        "first_id": shown[0].id if shown else None,
        "last_id": shown[-1].id if shown else None,
        "has_more": len(first) > limit,
    }


def ids_after(ids: Iterable[str], after: str | None, *, is_newest_first: bool) -> Iterator[str]:
    """IDs in order, those behind `after` alone, which may be gone by now."""
    for one in sorted(ids, reverse=is_newest_first):
        if after is None or (one < after if is_newest_first else one > after):
            yield one
