"""Where memory runs out, rows start over and are the same; only what fits nowhere fails."""

from __future__ import annotations

import dataclasses
import gc
import re
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from engine import Engine, EngineError, Request, RequestResult
from engine.out_of_memory import is_out_of_memory
from tests.engine.models import SeedModel, random_model
from tests.engine.runs import Rows, SmallTokenizer, new_engine, prompt_of, request, run_all
from tests.engine.scarce import OUT_OF_MEMORY, Scarce
from tests.engine.streams import columns_of

PACKED = random_model(2, 1, 8, 1, is_chaotic=True, sequence_len=2048)
MODELS = {"packed": PACKED, "seed": SeedModel(PACKED)}
TOKENIZER = SmallTokenizer()

MIX = [
    request("one row", prompt_of(20, 1), max_tokens=9, seed=1),
    request("more rows than run at once", prompt_of(70, 2), 7, max_tokens=6, seed=2, logprobs=True),
    request("greedy", prompt_of(5, 3), 2, max_tokens=12, temperature=0.0),
    request("one token", prompt_of(33, 4), 3, max_tokens=1, seed=4),
    request("penalties", prompt_of(9, 5), 2, max_tokens=12, min_tokens=9, repetition_penalty=1.5),
    request(
        "controls",
        prompt_of(90, 6),
        2,
        max_tokens=12,
        min_tokens=7,
        frequency_penalty=0.7,
        stop=["12", "3"],
        logprobs=True,
        logprobs_mode="processed",
    ),
]


@pytest.fixture(params=MODELS)
def scarce(request: pytest.FixtureRequest) -> Scarce:
    return Scarce(MODELS[request.param])


def finished(engine: Engine) -> Iterator[RequestResult]:
    while engine.has_work:
        yield from engine.step()
    assert engine.num_busy_rows == engine.num_running_rows == 0
    assert engine.kv_tokens == engine.cached_kv_tokens


def quiet_rows(scarce: Scarce, requests: list[Request], **config: Any) -> Rows:
    scarce.fail_at()
    return run_all(scarce, requests, config.pop("tokenizer", TOKENIZER), row_tile=1, **config)


def short_engine(scarce: Scarce, **config: Any) -> Engine:
    """Its products are padded to no tile, so that a row costs what it needs."""
    return new_engine(scarce, TOKENIZER, **{"row_tile": 1, **config})


def limit_kv(scarce: Scarce, engine: Engine, most: int) -> None:
    """Memory for keys and values ends at so many tokens."""
    scarce.is_short = lambda num_tokens: engine.kv_tokens > most


@pytest.mark.parametrize("error", OUT_OF_MEMORY.values(), ids=OUT_OF_MEMORY)
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_rows_that_started_over_are_the_same(
    model: Any, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    scarce = Scarce(model, error)
    expected = quiet_rows(scarce, MIX)
    engine = short_engine(scarce)
    for each in MIX:
        engine.submit(each)
    scarce.fail_at(8)
    results = {result.request_id: result.rows for result in finished(engine)}
    assert results == expected
    assert engine.stats.memory_shortages == 1 and engine.stats.restarted_rows > 0
    assert engine.kv_budget_tokens < 200_000
    assert type(error).__name__ in caplog.text and "start over" in caplog.text


def test_at_whatever_call_memory_runs_out_nothing_changes(scarce: Scarce) -> None:
    """Rows that are submitted, and a stream beside them whose reader notices nothing.

    Of a model of the seed's interface, which makes a call per wave, at every third one.
    """
    stride = 3 if isinstance(scarce.model, SeedModel) else 1
    expected = quiet_rows(scarce, MIX, max_rows=5)
    streamed = MIX[1]
    columns = columns_of(expected[streamed.id], streamed.prompt_tokens)
    call, is_after_the_end = 0, False
    while not is_after_the_end:
        engine = short_engine(scarce, max_rows=5)
        scarce.fail_at(call)
        for each in MIX:
            engine.submit(each)
        stream = engine.generate(
            list(streamed.prompt_tokens), streamed.num_samples, max_tokens=6, seed=2
        )
        assert list(stream) == columns
        assert {its.request_id: its.rows for its in finished(engine)} == expected
        is_after_the_end = engine.stats.memory_shortages == 0
        call += stride
    assert call > 20


@settings(max_examples=20)
@given(
    model=st.sampled_from(list(MODELS.values())),
    limits=st.fixed_dictionaries(
        {
            "kv_budget_tokens": st.sampled_from([700, 3000, 200_000]),
            "max_rows": st.sampled_from([1, 3, 16]),
            "max_prefill_tokens": st.sampled_from([1, 2048]),
        }
    ),
    mix=st.lists(
        st.builds(
            lambda length, num_samples, first_row, max_tokens, seed: dataclasses.replace(
                request(
                    *("a", prompt_of(length, seed), num_samples),
                    max_tokens=max_tokens,
                    seed=seed,
                    logprobs=seed > 1,
                ),
                first_row=first_row,
            ),
            *(st.integers(1, 150), st.integers(1, 9), st.integers(0, 9)),
            *(st.integers(1, 30), st.integers(0, 3)),
        ),
        min_size=1,
        max_size=6,
    ),
    calls=st.sets(st.integers(0, 40), max_size=3),
    cancelled=st.integers(0, 11),
)
def test_whatever_comes_and_whenever_memory_runs_out(
    model: Any, limits: dict[str, int], mix: list[Request], calls: set[int], cancelled: int
) -> None:
    """Every request ends with its rows, unless memory ran out while it was alone."""
    scarce = Scarce(model)
    mix = [dataclasses.replace(each, id=str(n)) for n, each in enumerate(mix)]
    expected = quiet_rows(scarce, mix)
    engine = short_engine(scarce, **limits)
    for each in mix:
        engine.submit(each)
    scarce.fail_at(*calls)
    results = engine.step()
    if engine.cancel(str(cancelled)):
        del expected[str(cancelled)]
    results += finished(engine)
    failed = [result for result in results if result.error is not None]
    assert all(result.error.startswith("out of memory: ") for result in failed if result.error)
    assert len(failed) <= max(engine.stats.memory_shortages - 1, 0)
    rows = {result.request_id: result.rows for result in results if result.error is None}
    assert rows == {name: expected[name] for name in rows}
    assert sorted(expected) == sorted(result.request_id for result in results)


@pytest.mark.parametrize("most", [650, 1500])
def test_all_that_fit_alone_are_done_where_the_budget_is_far_too_big(
    scarce: Scarce, most: int
) -> None:
    requests = [
        request(str(n), prompt_of(20 + n, n), 1 + n % 5, max_tokens=10 + 4 * n, seed=n)
        for n in range(20)
    ]
    expected = quiet_rows(scarce, requests)
    engine = short_engine(scarce)
    for each in requests:
        engine.submit(each)
    limit_kv(scarce, engine, most)
    results = list(finished(engine))
    assert [result.error for result in results] == [None] * 20
    assert {result.request_id: result.rows for result in results} == expected
    assert 0 < engine.stats.memory_shortages < 20


def test_a_request_with_room_for_one_row_gets_all_its_rows(scarce: Scarce) -> None:
    asked = request("a", prompt_of(40, 1), 6, max_tokens=100, seed=3)
    engine = short_engine(scarce)
    engine.submit(asked)
    limit_kv(scarce, engine, 230)
    (result,) = finished(engine)
    assert result.error is None
    assert result.rows == quiet_rows(scarce, [asked])["a"]


def test_a_prompt_that_fits_only_piece_by_piece_is_taken_so() -> None:
    scarce = Scarce(PACKED)
    asked = request("a", prompt_of(1500, 1), 2, max_tokens=5)
    expected = quiet_rows(scarce, [asked])
    engine = short_engine(scarce)
    engine.submit(asked)
    scarce.is_short = lambda num_tokens: num_tokens > 600
    (result,) = finished(engine)
    assert (result.error, result.rows) == (None, expected["a"])


def test_what_does_not_fit_alone_fails_alone_and_says_what_would_fit(scarce: Scarce) -> None:
    neighbours = [request(str(n), prompt_of(20, n), 2, max_tokens=20, seed=n) for n in range(6)]
    large = request("large", prompt_of(30, 9), 3, max_tokens=1900, seed=9)
    expected = quiet_rows(scarce, neighbours, tokenizer=None)
    engine = new_engine(scarce, row_tile=1)
    for each in [*neighbours[:3], large, *neighbours[3:]]:
        engine.submit(each)
    limit_kv(scarce, engine, 900)
    results = {result.request_id: result for result in finished(engine)}
    error = results.pop("large").error
    assert error is not None
    assert "30 prompt tokens and up to 1900 new ones" in error and "alone" in error
    assert {name: result.rows for name, result in results.items()} == expected

    fitting = re.search(r"enough for this prompt and a max_tokens of (\d+)$", error)
    assert fitting
    smaller = request("smaller", prompt_of(30, 9), 3, max_tokens=int(fitting[1]), seed=9)
    engine.submit(smaller)
    (result,) = finished(engine)
    assert result.error is None
    assert result.rows == quiet_rows(scarce, [smaller], tokenizer=None)["smaller"]


def test_a_stream_that_does_not_fit_says_so(scarce: Scarce) -> None:
    engine = short_engine(scarce)
    stream = engine.generate(prompt_of(100, 1), 2, max_tokens=9)
    scarce.is_short = lambda num_tokens: True
    with pytest.raises(EngineError, match="out of memory: 100 prompt tokens"):
        next(stream)
    assert not engine.has_work and engine.num_busy_rows == 0


def test_one_row_alone_waits_where_as_much_has_fitted_before(
    scarce: Scarce, caplog: pytest.LogCaptureFixture
) -> None:
    """What something else holds for a moment is no fault of the request."""
    asked = request("a", prompt_of(20, 1), max_tokens=9, seed=1)
    engine = short_engine(scarce)
    engine.submit(asked)
    list(finished(engine))
    engine.submit(dataclasses.replace(asked, id="b"))
    scarce.fail_at(3, 4)
    (result,) = finished(engine)
    assert (result.error, result.rows) == (None, quiet_rows(scarce, [asked])["a"])
    assert "trying again" in caplog.text


def test_the_budget_shrinks_and_grows_back(scarce: Scarce) -> None:
    engine = short_engine(scarce, kv_budget_tokens=2000)
    engine.submit(request("a", prompt_of(20, 1), 8, max_tokens=30))
    scarce.fail_at(3)
    list(finished(engine))
    budgets = [engine.kv_budget_tokens]
    assert budgets[0] < 1000
    for n in range(1000):
        if budgets[-1] == 2000:
            break
        engine.submit(request(str(n), prompt_of(20, n), max_tokens=30))
        list(finished(engine))
        budgets.append(engine.kv_budget_tokens)
    assert budgets[-1] == 2000 and budgets == sorted(budgets)
    assert 3 < len(set(budgets)) < len(budgets) / 2, "bit by bit, and slowly"


def test_a_smaller_budget_refuses_nothing_that_the_configured_one_takes(scarce: Scarce) -> None:
    engine = short_engine(scarce, kv_budget_tokens=3000)
    engine.submit(request("a", prompt_of(20, 1), 8, max_tokens=30))
    scarce.fail_at(3)
    list(finished(engine))
    large = request("large", prompt_of(500, 1), 2, max_tokens=700)
    engine.submit(large)
    assert engine.kv_budget_tokens < 1200
    (result,) = finished(engine)
    assert result.rows == quiet_rows(scarce, [large])["large"]


def test_rows_that_are_finished_stay(scarce: Scarce) -> None:
    engine = short_engine(scarce, max_rows=4)
    asked = request("a", prompt_of(20, 1), 40, max_tokens=3)
    engine.submit(asked)
    scarce.is_short = lambda num_tokens: (
        engine.num_busy_rows < 5 and engine.stats.memory_shortages == 0
    )
    (result,) = finished(engine)
    assert engine.stats.memory_shortages == 1
    assert engine.stats.tokens <= 40 * 3 + 4 * 3
    assert result.rows == quiet_rows(scarce, [asked])["a"]


def test_no_row_is_busy_once_all_were_cancelled_after_a_shortage(scarce: Scarce) -> None:
    engine = short_engine(scarce)
    for each in MIX:
        engine.submit(each)
    scarce.fail_at(4)
    while not engine.stats.memory_shortages:
        engine.step()
    started = [each for each in MIX if engine.cancel(each.id)]
    assert started and not engine.has_work
    assert engine.num_busy_rows == engine.kv_tokens == 0


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_the_memory_of_a_step_that_failed_is_free_before_the_next(model: Any) -> None:
    class Watched(Scarce):
        logits: weakref.ref[Tensor]

        def _checked(self, logits: Tensor, tokens: Tensor) -> Tensor:
            self.logits = weakref.ref(logits)
            return super()._checked(logits, tokens)

    scarce = Watched(model)
    engine = short_engine(scarce)
    for each in MIX:
        engine.submit(each)
    scarce.fail_at(6)
    gc.disable()
    try:
        while not engine.stats.memory_shortages:
            engine.step()
    finally:
        gc.enable()
    assert scarce.logits() is None
    assert engine.kv_tokens == engine.num_running_rows == 0
    assert engine.num_busy_rows == sum(each.num_samples for each in MIX if engine.cancel(each.id))


def test_real_allocators_are_understood() -> None:
    for allocate in (
        lambda: torch.empty(2**50),
        lambda: np.empty(2**50),
        lambda: bytearray(2**50),
    ):
        with pytest.raises((RuntimeError, MemoryError)) as caught:
            allocate()
        assert is_out_of_memory(caught.value)
    for error in (RuntimeError("mat1 and mat2 shapes"), ValueError("out of memory"), OSError(12)):
        assert not is_out_of_memory(error)


def test_what_fails_at_its_prompt_is_told_how_long_a_one_would_fit(scarce: Scarce) -> None:
    engine = short_engine(scarce)
    fitted: list[int] = []

    def is_short(num_tokens: int) -> bool:
        fitted.append(engine.kv_tokens)
        return False

    scarce.is_short = is_short
    engine.submit(request("small", prompt_of(200, 1), 4, max_tokens=60))
    list(finished(engine))
    engine.submit(request("large", prompt_of(1500, 1), max_tokens=60))
    limit_kv(scarce, engine, max(fitted))
    (result,) = finished(engine)
    assert result.error is not None
    fitting = re.search(r"enough for a prompt of (\d+) tokens$", result.error)
    assert fitting
    engine.submit(request("fitting", prompt_of(int(fitting[1]), 1), max_tokens=1))
    (result,) = finished(engine)
    assert result.error is None
