"""An engine in company: whatever requests come, go and stream beside each other, in any setting.

A hypothesis state machine. Every row that it finishes has to be the one of the same request run
alone.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from engine import Engine, RequestError, RowResult
from tests.engine.draws import (
    MOST_SAMPLES,
    Question,
    Weights,
    limits,
    numbers,
    nums_samples,
    questions,
    spans,
    weights,
)
from tests.engine.runs import SmallTokenizer, new_engine, run_all
from tests.engine.streams import Stream

TOKENIZER = SmallTokenizer()


class Alone:
    """Models, and the rows of questions that were asked where nothing shares the batch."""

    def __init__(self, make_model: Callable[[Weights], Any]) -> None:
        self.model = lru_cache(8)(make_model)
        self.rows = lru_cache(4096)(self._rows)
        self.counts = Counter[str]()
        """What the machines made with these models did, all together."""

    def _rows(self, weights: Weights, question: Question) -> list[RowResult]:
        """Of `MOST_SAMPLES` samples: fewer are the first ones of them."""
        asked = question.request("alone", MOST_SAMPLES)
        return run_all(self.model(weights), [asked], TOKENIZER, max_rows=1)["alone"]


class Company(RuleBasedStateMachine):
    """One engine from its start until it has nothing left to do."""

    engine: Engine

    def __init__(self, alone: Alone) -> None:
        super().__init__()
        self.alone = alone
        self.unfinished: dict[str, list[RowResult]] = {}
        self.streams: list[Stream] = []
        self.num_submitted = 0
        self.is_whole = False
        """Whether all was well so far: what comes after a failure would only hide it."""

    @initialize(weights=weights, limits=limits, asked=st.lists(questions, min_size=1))
    def start(self, weights: Weights, limits: dict[str, int], asked: list[Question]) -> None:
        self.weights = weights
        self.questions = asked
        self.engine = new_engine(self.alone.model(weights), TOKENIZER, **limits)
        self.is_whole = True

    @rule(asked=st.lists(st.tuples(numbers, spans), min_size=1, max_size=6))
    def submit(self, asked: list[tuple[int, tuple[int, int]]]) -> None:
        """Numbers of questions, each with its first row and its number of samples."""
        for number, (first_row, num_samples) in asked:
            question = self.questions[number % len(self.questions)]
            self.num_submitted += 1
            request = question.request(str(self.num_submitted), num_samples, first_row)
            if self.is_accepted(partial(self.engine.submit, request)):
                rows = self.alone.rows(self.weights, question)
                self.unfinished[request.id] = rows[first_row:][:num_samples]

    @rule(number=numbers, num_samples=nums_samples)
    def open_stream(self, number: int, num_samples: int) -> None:
        question = self.questions[number % len(self.questions)]
        asked = question.request("stream", num_samples)
        fields = dataclasses.asdict(asked.params)
        columns = self.is_accepted(
            partial(
                self.engine.generate,
                list(asked.prompt_tokens),
                num_samples,
                **fields,
            )
        )
        if columns:
            rows = self.alone.rows(self.weights, question)[:num_samples]
            self.streams.append(Stream(columns, rows, asked.prompt_tokens))

    @precondition(lambda self: self.streams)
    @rule(number=numbers, num_columns=st.integers(1, 6))
    def read_stream(self, number: int, num_columns: int) -> None:
        stream = self.streams[number % len(self.streams)]
        with self.watched():
            has_more = stream.read(num_columns)
        if not has_more:
            self.streams.remove(stream)
            self.alone.counts["streams read to their end"] += 1

    @precondition(lambda self: self.streams)
    @rule(number=numbers)
    def close_stream(self, number: int) -> None:
        with self.watched():
            self.streams.pop(number % len(self.streams)).close()
        self.alone.counts["streams closed"] += 1

    @precondition(lambda self: self.unfinished)
    @rule(number=numbers)
    def cancel(self, number: int) -> None:
        name = list(self.unfinished)[number % len(self.unfinished)]
        with self.watched():
            is_cancelled = self.engine.cancel(name)
        if is_cancelled:  # else it is done, and the next step returns it
            del self.unfinished[name]
            self.alone.counts["cancelled"] += 1

    @rule(num_steps=st.integers(1, 6))
    def step(self, num_steps: int) -> None:
        for _ in range(num_steps):
            with self.watched():
                self.step_once()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Something that has to go well, and has to leave the engine within its limits."""
        self.is_whole = False
        yield
        assert self.engine.cached_kv_tokens <= self.engine.kv_tokens
        assert self.engine.kv_tokens <= self.engine.kv_budget_tokens
        assert self.engine.num_running_rows <= self.engine.config.max_rows
        self.is_whole = True

    def step_once(self) -> None:
        stats, had_work = self.engine.stats, self.engine.has_work
        before = stats.tokens + stats.prompt_tokens
        results = self.engine.step()
        for result in results:
            assert (result.error is None) == all(
                row.finish_reason != "error" for row in result.rows
            )
            assert result.rows == self.unfinished.pop(result.request_id)
            self.alone.counts["requests compared"] += 1
        assert results or stats.tokens + stats.prompt_tokens > before or not had_work, "stuck"

    def is_accepted(self, ask: Callable[[], Any]) -> Any:
        """What the call returns, or True; False where it asks for more than the KV budget."""
        try:
            return ask() or True
        except RequestError as error:
            assert "KV budget" in error.reason
            self.alone.counts["refused"] += 1
            return False

    def teardown(self) -> None:
        if self.is_whole:
            while self.streams:
                self.read_stream(0, 100)
            while self.engine.has_work:
                self.step(1)
            assert not self.unfinished
            assert self.engine.num_running_rows == 0
            assert self.engine.kv_tokens == self.engine.cached_kv_tokens, "memory is lost"
            self.alone.counts["steps"] += self.engine.stats.steps
            self.alone.counts["tokens"] += self.engine.stats.tokens
            self.alone.counts["prompt tokens found"] += self.engine.stats.cached_prompt_tokens
