"""Answers: what goes around choices, whole or streamed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

from gateway.openai.asked import Asked, Served
from gateway.openai.choice import Choice, Piece, whole
from gateway.openai.parts import parts
from jobs import RowDelta, SampledRows


class Format(Protocol):
    """How a kind of answer writes its choices: CompletionFormat, ChatFormat."""

    prefix: str
    whole_object: str
    chunk_object: str

    def __init__(self, served: Served, asked: Asked) -> None: ...
    def echo(self, prompt: int) -> str: ...
    def first(self, index: int) -> dict[str, Any] | None: ...
    def whole(self, piece: Piece, prompt_logprobs: Sequence[float] | None) -> dict[str, Any]: ...
    def part(self, piece: Piece) -> dict[str, Any]: ...


class Answer:
    """The answer to one request. `key`: what its ID ends with; `created`: seconds since 1970."""

    def __init__(
        self, served: Served, asked: Asked, kind: type[Format], *, key: str, created: int
    ) -> None:
        self._served = served
        self._asked = asked
        self._format = kind(served, asked)
        self._head = {"id": f"{kind.prefix}-{key}", "created": created, "model": asked.model}
        self._choices: dict[int, Choice] = {}
        self._num_tokens = 0

    def whole(self, results: Sequence[SampledRows]) -> dict[str, Any]:
        """Of all the jobs' results, in the jobs' order."""
        choices = [
            choice
            for prompt, result in enumerate(results)
            for choice in self._whole_choices(prompt, result)
        ]
        self._num_tokens = sum(len(row.tokens) for its in results for row in its.rows)
        return {
            **self._head,
            "object": self._format.whole_object,
            "choices": choices,
            "usage": self._usage(),
            **self._origin(results),
        }

    def chunks(self, prompt: int, delta: RowDelta) -> Iterator[dict[str, Any]]:
        """What a delta of a prompt's job is told as."""
        index = prompt * self._asked.num_choices + delta.row
        self._num_tokens += len(delta.tokens)
        if index not in self._choices:
            begin = len(self._format.echo(prompt))
            self._choices[index] = Choice(self._served, index, begin)
            first = self._format.first(index)
            if first is not None:
                yield self._chunk([first])
        if not self._asked.has_token_ids:
            piece = self._choices[index].add(delta)
            if not piece.is_empty or (delta.tokens and delta.logprobs is not None):
                yield self._chunk([self._format.part(piece)])
            return
        for part, special in parts(delta, self._served.names):
            piece = self._choices[index].add(part)
            if part.tokens or not piece.is_empty:
                choice = self._with_token_ids(piece, self._format.part(piece))
                yield self._chunk([choice | {"special_token": special}])

    def last_chunk(self, results: Sequence[SampledRows]) -> dict[str, Any]:
        """Tells what the whole stream came to, where that was asked for."""
        return {**self._chunk([]), "usage": self._usage(), **self._origin(results)}

    def _whole_choices(self, prompt: int, result: SampledRows) -> Iterator[dict[str, Any]]:
        begin = len(self._format.echo(prompt))
        for number, row in enumerate(result.rows):
            piece = whole(self._served, prompt * self._asked.num_choices + number, row, begin)
            choice = self._format.whole(piece, result.prompt_logprobs)
            yield self._with_token_ids(piece, choice)

    def _with_token_ids(self, piece: Piece, choice: dict[str, Any]) -> dict[str, Any]:
        if self._asked.has_token_ids:
            choice["token_ids"] = list(piece.delta.tokens)
            choice["masks"] = list(piece.delta.masks)
        return choice

    def _chunk(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        chunk = {
            **self._head,
            "object": self._format.chunk_object,
            "choices": choices,
            "seed": self._asked.seed,
        }
        if self._asked.has_usage_chunk:
            chunk["usage"] = None
        return chunk

    def _usage(self) -> dict[str, int]:
        num_prompt = self._asked.num_prompt_tokens
        return {
            "prompt_tokens": num_prompt,
            "completion_tokens": self._num_tokens,
            "total_tokens": num_prompt + self._num_tokens,
        }

    def _origin(self, results: Iterable[SampledRows]) -> dict[str, Any]:
        """The model's fingerprint, where all rows are of one, and whether they can be had again."""
        results = list(results)
        models = {its.provenance.model if its.provenance else None for its in results}
        return {
            "system_fingerprint": models.pop() if len(models) == 1 else None,
            "seed": self._asked.seed,
            "reproducible": all(its.reproducible for its in results),
        }
