"""No mix of admitted work outgrows the KV budget, and all of it gets done, in its order."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import Engine, Request, RequestError
from tests.engine.models import SeedModel, random_model
from tests.engine.runs import new_engine, prompt_of, request

PACKED = random_model(2, 1, 8, 1)
MODELS = [PACKED, SeedModel(PACKED)]

models = st.sampled_from(MODELS)
limits = st.fixed_dictionaries(
    {
        "kv_budget_tokens": st.integers(192, 3000),
        "max_rows": st.sampled_from([1, 3, 16, 64]),
        "max_prefill_tokens": st.sampled_from([1, 100, 2048]),
    }
)
lengths = st.sampled_from([1, 64, 65, 128, 129]) | st.integers(1, 150)


@st.composite
def arrivals(draw: st.DrawFn, max_tokens: int | None = None) -> list[tuple[int, Request]]:
    """Requests with the step at which each comes, in that order."""
    mix = []
    for n in range(draw(st.integers(1, 12))):
        new_tokens = max_tokens or draw(st.sampled_from([1, 2, 5, 65]))
        prompt = prompt_of(draw(lengths), n)
        each = request(str(n), prompt, draw(st.integers(1, 20)), max_tokens=new_tokens)
        mix.append((draw(st.integers(0, 40)), each))
    return sorted(mix, key=lambda pair: pair[0])


def step(engine: Engine) -> list[str]:
    """A step within the budget that gets on; returns the requests that are done."""
    before = engine.stats.tokens + engine.stats.prompt_tokens
    had_work = engine.has_work
    done = [result.request_id for result in engine.step()]
    assert engine.kv_tokens <= engine.kv_budget_tokens
    assert engine.num_running_rows <= engine.config.max_rows
    assert not had_work or engine.stats.tokens + engine.stats.prompt_tokens > before, "stuck"
    return done


def submit_if_it_can_ever_run(engine: Engine, each: Request) -> bool:
    try:
        engine.submit(each)
    except RequestError as error:
        assert error.field in ("prompt_tokens", "max_tokens") and "KV budget" in error.reason
        return False
    return True


@settings(max_examples=25)
@given(models, limits, arrivals(), st.dictionaries(st.integers(0, 60), st.integers(0, 11)))
def test_memory_stays_in_the_budget_and_everything_is_done(
    model: Any, limits: dict[str, int], mix: list[tuple[int, Request]], cancels: dict[int, int]
) -> None:
    engine = new_engine(model, **limits)
    unfinished = set()
    number = 0
    while mix or engine.has_work:
        while mix and mix[0][0] <= number:
            _, each = mix.pop(0)
            if submit_if_it_can_ever_run(engine, each):
                unfinished.add(each.id)
        if number in cancels and engine.cancel(str(cancels[number])):
            unfinished.remove(str(cancels[number]))
            assert engine.kv_tokens <= engine.kv_budget_tokens
        unfinished -= set(step(engine))
        number += 1
    assert not unfinished


@settings(max_examples=30)
@given(models, limits, arrivals(max_tokens=5))
def test_first_come_first_served(
    model: Any, limits: dict[str, int], mix: list[tuple[int, Request]]
) -> None:
    """Where all rows are of one length, no request is done before one that came earlier."""
    engine = new_engine(model, **limits)
    order = [each.id for _, each in mix if submit_if_it_can_ever_run(engine, each)]
    while engine.has_work:
        done = set(step(engine))
        assert done == set(order[: len(done)])
        del order[: len(done)]
    assert not order


@pytest.mark.parametrize("model", MODELS, ids=["packed", "seed"])
def test_the_smallest_budget_that_is_accepted_is_enough(model: Any) -> None:
    each = request("a", prompt_of(100, 1), 20, max_tokens=100)

    def accepts(budget: int) -> bool:
        return submit_if_it_can_ever_run(new_engine(model, kv_budget_tokens=budget), each)

    refused, least = 0, 10_000
    while least - refused > 1:
        middle = (refused + least) // 2
        refused, least = (refused, middle) if accepts(middle) else (middle, least)
    assert not any(accepts(least - fewer) for fewer in (1, 2, 63, 64, 65, 200))
    assert accepts(least + 1)
    engine = new_engine(model, kv_budget_tokens=least)
    engine.submit(each)
    while engine.has_work:
        step(engine)


@pytest.mark.parametrize("model", MODELS, ids=["packed", "seed"])
def test_a_full_engine_accepts_what_an_empty_one_does(model: Any) -> None:
    engine = new_engine(model, kv_budget_tokens=2000, row_tile=1)
    for n in range(40):
        engine.submit(request(str(n), [n], max_tokens=60))
    step(engine)
    engine.submit(request("long", prompt_of(50, 1), max_tokens=200))
    while engine.has_work:
        step(engine)


def test_a_larger_budget_runs_more_rows_at_once() -> None:
    running = []
    for budget in (256, 1024, 8192):
        engine = new_engine(PACKED, kv_budget_tokens=budget)
        for n in range(40):
            engine.submit(request(str(n), prompt_of(30, n), max_tokens=20))
        step(engine)
        running.append(engine.num_running_rows)
    assert running == sorted(set(running)) and running[-1] == 40


def test_a_long_row_that_is_gone_takes_no_room_from_those_it_kept_waiting() -> None:
    """A short row stays; the memory that the long one had per row must not stay with it."""
    engine = new_engine(PACKED, kv_budget_tokens=640)
    engine.submit(request("long", [1], max_tokens=200))
    for _ in range(180):
        step(engine)
    engine.submit(request("short", [2], max_tokens=60))
    for n in range(7):
        engine.submit(request(str(n), [n], max_tokens=60))
    while step(engine) != ["long"]:
        assert engine.num_running_rows == 2
    step(engine)
    assert engine.num_running_rows > 1, "the budget is meant to hold some that waited"
    while engine.has_work:
        step(engine)
