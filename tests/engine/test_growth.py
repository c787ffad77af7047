"""Work grows with the rows and no faster: counted in calls, which no clock disturbs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from engine import Engine, Request
from engine.models.nanochat import GPT
from engine.models.packed import Attend
from tests.engine.models import SeedModel, random_model
from tests.engine.runs import drain, new_engine, prompt_of, request

Mix = Callable[[int], list[Request]]


def one_request(num_rows: int) -> list[Request]:
    return [request("a", prompt_of(20, 1), num_rows, max_tokens=4)]


def single_rows(num_rows: int) -> list[Request]:
    return [request(str(n), prompt_of(20, n), max_tokens=4) for n in range(num_rows)]


def engine_with(model: Any, requests: list[Request], max_rows: int) -> Engine:
    engine = new_engine(model, max_rows=max_rows, max_prefill_tokens=10**6, kv_budget_tokens=10**7)
    for each in requests:
        engine.submit(each)
    return engine


class TorchCalls(TorchFunctionMode):
    """Counts the calls into torch."""

    num = 0

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        self.num += 1
        return function(*args, **(kwargs or {}))


class Transfers(TorchFunctionMode):
    """Counts what makes the host wait for the device."""

    _WAITING = ("tolist", "item", "cpu", "numpy", "__bool__", "__int__", "__float__", "nonzero")

    num = 0

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        self.num += getattr(function, "__name__", "") in self._WAITING
        return function(*args, **(kwargs or {}))


class CountingModel:
    """A packed model that counts its forwards, and the calls of `attend` in them."""

    def __init__(self, model: GPT) -> None:
        self._model = model
        self.shape = model.shape
        self.dtype = model.dtype
        self.get_device = model.get_device
        self.num_forwards = 0
        self.num_attends = 0

    def __call__(
        self, tokens_T: Tensor, positions_T: Tensor, attend: Attend, *others: Any
    ) -> Tensor:
        def counted(*args: Any) -> Tensor:
            self.num_attends += 1
            return attend(*args)

        self.num_forwards += 1
        logits: Tensor = self._model(tokens_T, positions_T, counted, *others)
        return logits


@pytest.mark.parametrize("mix", [one_request, single_rows])
@pytest.mark.parametrize("num_rows", [1, 16, 64])
def test_a_step_is_one_forward_that_attends_once_per_layer(mix: Mix, num_rows: int) -> None:
    model = CountingModel(random_model(2, 1, 8, 3, 67))
    engine = engine_with(model, mix(num_rows), max_rows=num_rows)
    model.num_forwards = model.num_attends = 0  # without the probe's
    for step in range(1, 5):
        engine.step()
        assert (model.num_forwards, model.num_attends) == (step, 3 * step)


@pytest.mark.parametrize("mix", [one_request, single_rows])
def test_a_decode_step_makes_as_many_calls_into_torch_for_many_rows_as_for_few(mix: Mix) -> None:
    counts = []
    for num_rows in (4, 64):
        engine = engine_with(random_model(2, 1, 8, 1, 67), mix(num_rows), max_rows=num_rows)
        for _ in range(2):  # prompts, and the first growth of the caches
            engine.step()
        with TorchCalls() as calls:
            engine.step()
        assert engine.stats.tokens == 3 * num_rows
        counts.append(calls.num)
    assert counts[1] <= counts[0]


@contextmanager
def counted_calls() -> Iterator[list[int]]:
    """Counts calls of functions, of Python or C, and turns of generators into the list's number."""
    calls = [0]

    def count(frame: FrameType, event: str, argument: Any) -> None:
        calls[0] += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        yield calls
    finally:
        sys.setprofile(None)


PACKED = random_model(2, 1, 8, 1, 67)
MODELS = [PACKED, SeedModel(PACKED)]


def calls_per_row(model: Any, mix: Mix, num_rows: int, max_rows: int) -> float:
    """From submission to results."""
    with counted_calls() as calls:
        drain(engine_with(model, mix(num_rows), max_rows))
    return calls[0] / num_rows


@pytest.mark.parametrize("model", MODELS, ids=["packed", "seed"])
@pytest.mark.parametrize("mix", [one_request, single_rows])
def test_more_rows_at_once_cost_no_more_work_each(model: Any, mix: Mix) -> None:
    few, many = (calls_per_row(model, mix, num_rows, num_rows) for num_rows in (128, 512))
    assert many <= 1.25 * few


def test_busy_rows_are_known_without_a_look_at_each() -> None:
    engine = engine_with(PACKED, single_rows(512), max_rows=16)
    with counted_calls() as calls:
        assert engine.num_busy_rows == 512
    assert calls[0] < 10


@pytest.mark.parametrize("model", MODELS, ids=["packed", "seed"])
@pytest.mark.parametrize("mix", [one_request, single_rows])
def test_more_rows_that_wait_cost_no_more_work_each(model: Any, mix: Mix) -> None:
    few, many = (calls_per_row(model, mix, num_rows, max_rows=16) for num_rows in (128, 512))
    assert many <= 1.25 * few


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_step_brings_its_tokens_to_the_host_in_one_transfer(dtype: torch.dtype) -> None:
    """Whatever the rows ask for, and also where some start: a GPU would wait at each."""
    mix = [
        request("greedy", [1], 2, max_tokens=9, temperature=0),
        request("all", [2], 3, max_tokens=9, top_k=5, top_p=0.9, min_p=0.1),
        request("plain", [3] * 70, 9, max_tokens=9),
    ]
    engine = engine_with(random_model(2, 1, 8, 1, 67).to(dtype), mix, max_rows=8)
    while engine.has_work:
        with Transfers() as transfers:
            engine.step()
        assert transfers.num == 1
