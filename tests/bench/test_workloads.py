"""The workloads are what they say, and the same every time."""

from __future__ import annotations

import pytest

from bench.config import BenchConfig
from bench.model import BenchModel, demo_model
from bench.names import WORKLOADS
from bench.workload import Workload
from bench.workloads import build
from tests.bench.models import small_model


@pytest.fixture(scope="module")
def demo() -> BenchModel:
    return demo_model(BenchConfig())


def built(name: str, demo: BenchModel) -> Workload:
    return build(name, demo if name == "tiny" else small_model())


@pytest.mark.parametrize(
    ("name", "num_requests", "num_prompt_tokens", "num_samples"),
    [("samples", 16, 64, 8), ("singles", 64, 64, 1), ("long_prompt", 16, 512, 16)],
)
def test_requests_are_alike_but_for_their_prompts(
    name: str, num_requests: int, num_prompt_tokens: int, num_samples: int
) -> None:
    requests = build(name, small_model()).requests
    assert len({request.prompt_tokens for request in requests}) == num_requests
    for request in requests:
        assert len(request.prompt_tokens) == num_prompt_tokens
        assert request.num_samples == num_samples
        assert request.row_lengths == (64,) * num_samples
        assert request.arrival == 0


def test_mixed_requests_differ_and_arrive_in_order() -> None:
    requests = build("mixed", small_model()).requests
    arrivals = [request.arrival for request in requests]
    assert arrivals[0] == 0
    assert arrivals == sorted(arrivals)
    assert len(set(arrivals)) > 10
    for request in requests:
        assert 16 <= len(request.prompt_tokens) <= 512
        assert request.num_samples in (1, 2, 4, 8, 16)
        assert 8 <= request.max_tokens <= 128
    assert len({request.num_samples for request in requests}) == 5
    assert len({len(request.prompt_tokens) for request in requests}) > 10


def test_mixed_requests_arrive_while_others_run() -> None:
    workload = build("mixed", small_model())
    assert workload.requests[-1].arrival < sum(workload.row_lengths)


def test_rows_of_tiny_end_by_themselves(demo: BenchModel) -> None:
    workload = built("tiny", demo)
    assert (len(workload.requests), workload.num_rows) == (64, 256)
    assert all(length < 96 for length in workload.row_lengths)
    assert len(set(workload.row_lengths)) > 1


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_workload_is_the_same_every_time(name: str, demo: BenchModel) -> None:
    workload = built(name, demo)
    assert workload == built(name, demo)
    assert workload.name == name


def test_a_capped_workload_keeps_to_its_caps() -> None:
    caps = {"num_requests": 3, "num_samples": 2, "num_prompt_tokens": 30, "max_tokens": 10}
    capped = build("mixed", small_model()).capped(**caps)
    assert len(capped.requests) == 3
    for request in capped.requests:
        assert len(request.prompt_tokens) <= 30
        assert request.num_samples <= 2
        assert request.max_tokens <= 10
        assert request.row_lengths == (request.max_tokens,) * request.num_samples
