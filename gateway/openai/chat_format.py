"""Choices of chat completions, as OpenAI writes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.openai.asked import Asked, Served
from gateway.openai.choice import Piece


class ChatFormat:
    prefix = "chatcmpl"
    """Of the answers' IDs."""
    whole_object = "chat.completion"
    chunk_object = "chat.completion.chunk"
    """What whole answers and streamed ones are called."""

    def __init__(self, served: Served, asked: Asked) -> None:
        self._names = served.names
        self._asked = asked

    def echo(self, prompt: int) -> str:
        """What stands before the text of a prompt's choices."""
        return ""

    def first(self, index: int) -> dict[str, Any] | None:
        """What is streamed of a choice before its first token, if anything."""
        delta = {"role": "assistant", "content": ""}
        return {"index": index, "delta": delta, "logprobs": None, "finish_reason": None}

    def whole(self, piece: Piece, prompt_logprobs: Sequence[float] | None) -> dict[str, Any]:
        """A choice of a whole answer."""
        message = {"role": "assistant", "content": piece.text, "refusal": None}
        return self._told(piece, {"message": message})

    def part(self, piece: Piece) -> dict[str, Any]:
        """A choice of a streamed answer."""
        return self._told(piece, {"delta": {"content": piece.text} if piece.text else {}})

    def _told(self, piece: Piece, said: dict[str, Any]) -> dict[str, Any]:
        return {
            "index": piece.index,
            **said,
            "logprobs": self._logprobs(piece),
            "finish_reason": piece.delta.finish_reason,
        }

    def _logprobs(self, piece: Piece) -> dict[str, Any] | None:
        delta, num_top = piece.delta, self._asked.jobs[0].top_logprobs
        if delta.logprobs is None:
            return None
        tops, logprobs = delta.top_tokens or (), delta.top_logprobs or ()
        content = []
        for place, (token, logprob) in enumerate(zip(delta.tokens, delta.logprobs, strict=True)):
            its = slice(place * num_top, (place + 1) * num_top)
            top = [*map(self._entry, tops[its], logprobs[its])]
            content.append({**self._entry(token, logprob), "top_logprobs": top})
        return {"content": content, "refusal": None}

    def _entry(self, token: int, logprob: float) -> dict[str, Any]:
        utf8 = self._names.utf8(token)
        return {
            "token": self._names.name(token),
            "logprob": logprob,
            "bytes": None if utf8 is None else list(utf8),
        }
