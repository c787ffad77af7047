"""Endpoint: the route whose answers the lines of a batch get."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.errors import ApiError
from gateway.openai.answer import Answer, Format
from gateway.openai.asked import Asked, Served
from gateway.openai.chat_format import ChatFormat
from gateway.openai.chat_request import read_chat
from gateway.openai.completion_format import CompletionFormat
from gateway.openai.completion_request import read_completion
from jobs import SampledRows
from jobs.dataset.seeds import derive_seed

_SEED_BITS = 53
"""Many readers of JSON round larger integers."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    served: Served
    read: Callable[[object, Served], Asked]
    kind: type[Format]

    def ask(self, record: Mapping[str, Any], index: int) -> Asked:
        """What a line that was found valid asks for; `index` counts lines from 0.

        The same each time: without a seed of its own, a body gets the one that a dataset with seed
        0 would give a line of that ID, its lowest 53 bits. Raises ApiError as the route would, and
        for a body that wants a stream.
        """
        body = dict(record["body"])
        if body.get("stream"):
            message = "stream: true is not allowed in a batch, whose answers come whole"
            raise ApiError(400, message, param="stream")
        if body.get("seed") is None:
            body["seed"] = derive_seed(0, index, record["custom_id"]) % 2**_SEED_BITS
        return self.read(body, self.served)

    def answer(
        self, asked: Asked, results: Sequence[SampledRows], *, key: str, created: int
    ) -> dict[str, Any]:
        """The route's, of the rows of all that was asked."""
        return Answer(self.served, asked, self.kind, key=key, created=created).whole(results)


def endpoints(served: Served) -> dict[str, Endpoint]:
    """By their paths."""
    return {
        "/v1/completions": Endpoint(served, read_completion, CompletionFormat),
        "/v1/chat/completions": Endpoint(served, read_chat, ChatFormat),
    }
