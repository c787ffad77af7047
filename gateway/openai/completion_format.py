"""Choices of completions, as OpenAI writes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.openai.asked import Asked, Served
from gateway.openai.choice import Piece, offsets_of


class CompletionFormat:
    prefix = "cmpl"
    """Of the answers' IDs."""
    whole_object = chunk_object = "text_completion"
    """What whole answers and streamed ones are called."""

    def __init__(self, served: Served, asked: Asked) -> None:
        self._served = served
        self._asked = asked

    def echo(self, prompt: int) -> str:
        """What stands before the text of a prompt's choices."""
        return "" if self._asked.echoes is None else self._asked.echoes[prompt]

    def first(self, index: int) -> dict[str, Any] | None:
        """What is streamed of a choice before its first token, if anything."""
        echo = self.echo(index // self._asked.num_choices)
        if not echo:
            return None
        return {"index": index, "text": echo, "logprobs": None, "finish_reason": None}

    def whole(self, piece: Piece, prompt_logprobs: Sequence[float] | None) -> dict[str, Any]:
        """A choice of a whole answer. `prompt_logprobs` as in SampledRows."""
        choice = self.part(piece)
        prompt = piece.index // self._asked.num_choices
        choice["text"] = self.echo(prompt) + piece.text
        if prompt_logprobs is not None:
            before = self._prompt_logprobs(prompt, prompt_logprobs)
            after = choice["logprobs"]
            choice["logprobs"] = {name: before[name] + (after[name] or []) for name in before}
            if after["top_logprobs"] is None:
                choice["logprobs"]["top_logprobs"] = None
        return choice

    def part(self, piece: Piece) -> dict[str, Any]:
        """A choice of a streamed answer."""
        return {
            "index": piece.index,
            "text": piece.text,
            "logprobs": self._logprobs(piece),
            "finish_reason": piece.delta.finish_reason,
        }

    def _logprobs(self, piece: Piece) -> dict[str, Any] | None:
        delta, name = piece.delta, self._served.names.name
        if delta.logprobs is None:
            return None
        return {
            "tokens": [name(token) for token in delta.tokens],
            "token_logprobs": list(delta.logprobs),
            "top_logprobs": self._top_logprobs(piece),
            "text_offset": list(piece.offsets),
        }

    def _top_logprobs(self, piece: Piece) -> list[dict[str, float]] | None:
        """Of the likeliest tokens at each position, and of the one that was sampled."""
        delta, name = piece.delta, self._served.names.name
        num_top = self._asked.jobs[0].top_logprobs
        if num_top == 0:
            return None
        assert delta.logprobs is not None
        tops, logprobs = delta.top_tokens or (), delta.top_logprobs or ()
        told = []
        for place, (token, logprob) in enumerate(zip(delta.tokens, delta.logprobs, strict=True)):
            its = slice(place * num_top, (place + 1) * num_top)
            top = {
                name(token): logprob
                for token, logprob in zip(tops[its], logprobs[its], strict=True)
            }
            told.append(top | {name(token): logprob})
        return told

    def _prompt_logprobs(self, prompt: int, logprobs: Sequence[float]) -> dict[str, list[Any]]:
        """Nothing is known of the first token, nor of others that a position might have had."""
        tokens = self._asked.jobs[prompt].prompt_tokens
        return {
            "tokens": [self._served.names.name(token) for token in tokens],
            "token_logprobs": [None, *logprobs],
            "top_logprobs": [None] * len(tokens),
            "text_offset": offsets_of(self._served, tokens),
        }
