"""Refusals: requests that no worker can run, as the workers say of themselves."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gateway.batches.requests import Request
from gateway.errors import ApiError
from gateway.model_limits import check_against
from gateway.openai.asked import as_asked
from jobs import Client, InvalidJobError, ModelCard, ServerUnavailableError
from jobs.dataset.failure import Failure

_KIND = "Refusal"
_FRESH_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the route would have answered. Kept with the results, as workers come and go."""

    custom_id: str
    status: int
    body: dict[str, Any]

    def failure(self, place: int) -> Failure:
        """As results keep it."""
        told = json.dumps({"status": self.status, "body": self.body})
        return Failure(place, None, self.custom_id, _KIND, told)

    @classmethod
    def told_by(cls, failure: Failure) -> Refusal | None:
        """None of a request that was run."""
        if failure.kind != _KIND:
            return None
        told = json.loads(failure.reason)
        return cls(failure.location, told["status"], told["body"])


class Refusals:
    """Asks the server which workers there are, once in two seconds."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._cards: Sequence[ModelCard] = ()
        self._next_look = time.monotonic()

    def of(self, request: Request) -> Refusal | None:
        if isinstance(request.asked, ApiError):
            return None
        try:
            check_against(self._known_cards(), request.asked.jobs)
        except InvalidJobError as error:
            told = as_asked(error, request.asked.names)
            return Refusal(request.custom_id, told.status, told.body())
        return None

    def _known_cards(self) -> Sequence[ModelCard]:
        """None where nobody knows: then the worker finds what is wrong."""
        if time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + _FRESH_SECONDS
            with contextlib.suppress(ServerUnavailableError):
                self._cards = tuple(self._client.worker_cards().values())
        return self._cards
