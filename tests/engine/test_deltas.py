"""Who follows a request's rows is told each token once, and in the end all of them."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import Engine, Request, RequestResult, RowDelta, RowResult
from tests.engine.models import SeedModel, random_model
from tests.engine.runs import SmallTokenizer, new_engine, prompt_of, request
from tests.engine.scarce import Scarce

PACKED = random_model(2, 1, 8, 1, is_chaotic=True, sequence_len=2048)
MODELS = {"packed": PACKED, "seed": SeedModel(PACKED)}
TOKENIZER = SmallTokenizer()
"""Its special tokens are among the first ones, so that rows of this model call the tool."""

WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "greedy": {"temperature": 0.0},
    "stop strings": {"stop": ["12", "3+", "4567"], "min_tokens": 2},
    "logprobs": {"logprobs": True},
    "top tokens": {"logprobs": True, "top_logprobs": 3, "logprobs_mode": "processed"},
    "stop strings and top tokens": {"stop": ["0", "98"], "logprobs": True, "top_logprobs": 2},
}


@st.composite
def requests(draw: st.DrawFn) -> Request:
    params = WAYS[draw(st.sampled_from([*WAYS]))]
    number = draw(st.integers(0, 3))
    asked = request(
        "a",
        prompt_of(1 + 11 * number, number),
        draw(st.integers(1, 9)),
        seed=number,
        **{**params, "max_tokens": draw(st.integers(max(params.get("min_tokens", 1), 1), 14))},
    )
    return dataclasses.replace(
        asked, first_row=draw(st.sampled_from([0, 5])), stream=draw(st.booleans())
    )


class Reader:
    """Reads an engine's deltas, and checks that each one goes on where the last one ended."""

    def __init__(self) -> None:
        self.rows: dict[int, list[RowDelta]] = defaultdict(list)

    def read(self, deltas: Sequence[RowDelta]) -> None:
        for delta in deltas:
            before = self.rows[delta.index]
            assert delta.start == sum(len(its.tokens) for its in before)
            assert len(delta.masks) == len(delta.tokens)
            assert delta.tokens or delta.finish_reason, "news"
            assert not before or before[-1].finish_reason is None
            before.append(delta)

    def row(self, index: int) -> RowResult:
        deltas = self.rows[index]
        reason = deltas[-1].finish_reason
        assert reason is not None
        return RowResult(
            joined(deltas, "tokens"),
            joined(deltas, "masks"),
            reason,
            joined(deltas, "logprobs"),
            joined(deltas, "top_tokens"),
            joined(deltas, "top_logprobs"),
            deltas[-1].text,
        )

    def check(self, asked: Request, result: RequestResult) -> None:
        self.read(result.deltas)
        if not asked.stream:
            assert not self.rows
        if not asked.stream or result.error is not None:  # some rows never ran then
            return
        assert [self.row(asked.first_row + n) for n in range(len(result.rows))] == result.rows


def joined(deltas: list[RowDelta], name: str) -> Any:
    columns = [getattr(delta, name) for delta in deltas]
    return None if columns[0] is None else [*chain.from_iterable(columns)]


def run_and_follow(
    engine: Engine, asked: Sequence[Request], is_read: Callable[[], bool] = lambda: True
) -> dict[str, RequestResult]:
    """Runs them to their end, and checks what was told meanwhile against the results."""
    readers = {its.id: Reader() for its in asked}
    by_id = {its.id: its for its in asked}
    results: dict[str, RequestResult] = {}
    for its in asked:
        engine.submit(its)
    while engine.has_work:
        for result in engine.step():
            results[result.request_id] = result
            readers[result.request_id].check(by_id[result.request_id], result)
        for its in asked:
            if is_read():
                readers[its.id].read(engine.deltas(its.id))
    return results


@settings(max_examples=20)
@given(
    model=st.sampled_from([*MODELS.values()]),
    asked=st.lists(requests(), min_size=1, max_size=5),
    max_rows=st.sampled_from([1, 3, 8]),
    failing=st.lists(st.integers(0, 40), max_size=2),
    rng=st.randoms(use_true_random=False),
)
def test_the_deltas_of_a_row_are_the_row(
    model: Any, asked: list[Request], max_rows: int, failing: list[int], rng: Any
) -> None:
    """Of any mix, in waves, whoever else runs, when memory runs out and rows start over, and
    however often somebody asks."""
    scarce = Scarce(model)
    named = [dataclasses.replace(its, id=str(n)) for n, its in enumerate(asked)]
    engine = new_engine(scarce, TOKENIZER, max_rows=max_rows, row_tile=1)
    scarce.fail_at(*failing)
    results = run_and_follow(engine, named, lambda: rng.random() < 0.7)
    assert len(results) == len(named)


def test_tokens_come_as_soon_as_they_are_there() -> None:
    engine = new_engine(PACKED, None)
    asked = dataclasses.replace(request("a", prompt_of(5, 1), 2, max_tokens=4), stream=True)
    engine.submit(asked)
    told = []
    while engine.has_work:
        done = engine.step()
        told += [engine.deltas("a") or done[0].deltas]
    assert [[(its.start, len(its.tokens)) for its in deltas] for deltas in told] == [
        [(start, 1)] * 2 for start in range(4)
    ]


def test_a_token_that_a_stop_string_may_take_back_is_not_told() -> None:
    """Else a reader would have more than the result."""
    engine = new_engine(PACKED, TOKENIZER)
    waits = 0
    for seed in range(20):
        asked = request("a", prompt_of(5, seed), max_tokens=12, seed=seed, stop=["0123456789"])
        engine.submit(dataclasses.replace(asked, stream=True))
        while engine.has_work:
            waits += not engine.step() and not engine.deltas("a")
    assert waits > 0


@pytest.mark.parametrize("stream", [False, True])
def test_a_cancelled_request_tells_nothing(stream: bool) -> None:
    engine = new_engine(PACKED, None)
    engine.submit(dataclasses.replace(request("a", [1], max_tokens=9), stream=stream))
    engine.step()
    engine.cancel("a")
    assert engine.deltas("a") == []


def test_rows_that_start_over_are_not_told_again() -> None:
    scarce = Scarce(PACKED)
    engine = new_engine(scarce, TOKENIZER, row_tile=1)
    asked = [
        dataclasses.replace(request(name, prompt_of(9, 3), 3, max_tokens=9, seed=3), stream=True)
        for name in "ab"
    ]
    scarce.fail_at(4)
    run_and_follow(engine, asked)
    assert engine.stats.restarted_rows > 0
