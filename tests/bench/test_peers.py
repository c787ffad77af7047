"""Every peer does the same work on the same weights: else their speeds say nothing."""

from __future__ import annotations

import pytest
import torch

from bench.config import BenchConfig
from bench.model import demo_model
from bench.names import PEERS
from bench.peers import new_peer
from bench.peers.rowmill import Rowmill
from bench.peers.sequential import Sequential
from bench.peers.transformers_generate import TransformersGenerate
from bench.peers.transformers_generate_batch import TransformersGenerateBatch
from bench.peers.transformers_model import transformers_model
from bench.workload import Workload
from bench.workloads import build
from engine.tool_use import terminal_tokens
from tests.bench.models import MIXED, SINGLES, UNIFORM, small_model, workload_of
from tests.engine.models import naive_logits
from tests.engine.runs import prompt_of

WORKLOADS = pytest.mark.parametrize("workload", [UNIFORM, MIXED], ids=["uniform", "mixed"])
# transformers refuses to give the same greedy row more than once.
GREEDY_WORKLOADS = pytest.mark.parametrize("workload", [SINGLES, MIXED], ids=["singles", "mixed"])


def greedy_rows(workload: Workload) -> list[list[int]]:
    """Rowmill's, request by request."""
    rows = Rowmill(small_model(), temperature=0.0).rows(workload)
    return [row.tokens for its in rows for row in its]


@WORKLOADS
@pytest.mark.parametrize("name", PEERS)
def test_a_peer_makes_as_many_tokens_as_are_asked_for(name: str, workload: Workload) -> None:
    assert new_peer(name, small_model()).run(workload) == sum(workload.row_lengths)


@WORKLOADS
def test_the_sequential_engine_says_what_rowmill_says(workload: Workload) -> None:
    rows = Sequential(small_model(), temperature=0.0).rows(workload)
    assert [tokens for its in rows for tokens in its] == greedy_rows(workload)


@GREEDY_WORKLOADS
def test_transformers_generate_says_what_rowmill_says(workload: Workload) -> None:
    peer = TransformersGenerate(small_model(), temperature=0.0)
    assert peer.rows(workload) == greedy_rows(workload)


@GREEDY_WORKLOADS
def test_transformers_generate_batch_says_what_rowmill_says(workload: Workload) -> None:
    peer = TransformersGenerateBatch(small_model(), temperature=0.0)
    assert peer.rows(workload) == greedy_rows(workload)


def test_the_sequential_engine_uses_the_tool_and_ends_rows_as_rowmill_does() -> None:
    model = demo_model(BenchConfig())
    workload = build("tiny", model).capped(
        num_requests=6, num_samples=2, num_prompt_tokens=100, max_tokens=96
    )
    expected = Rowmill(model, temperature=0.0).rows(workload)
    rows = Sequential(model, temperature=0.0).rows(workload)
    assert rows == [[row.tokens for row in its] for its in expected]
    assert all(0 in row.masks for its in expected for row in its)


def test_transformers_rows_end_with_the_token_that_ends_them() -> None:
    model = demo_model(BenchConfig())
    workload = build("tiny", model).capped(
        num_requests=2, num_samples=2, num_prompt_tokens=100, max_tokens=90
    )
    ends = terminal_tokens(model.tokenizer)
    for peer in (TransformersGenerate(model), TransformersGenerateBatch(model)):
        rows = peer.rows(workload)
        assert all(ends.isdisjoint(row[:-1]) for row in rows)
        assert any(row[-1] in ends for row in rows)


def test_the_converted_weights_give_the_same_logits() -> None:
    """To a hundredth: transformers does not round its rotary tables to bfloat16."""
    model, tokens = small_model(), prompt_of(200, seed=0)
    with torch.inference_mode():
        logits = transformers_model(model)(torch.tensor([tokens])).logits[0]
    expected = naive_logits(model.gpt(), tokens).float()
    torch.testing.assert_close(logits, expected, atol=1e-2, rtol=0)


def test_rowmill_gets_a_request_when_it_arrives() -> None:
    """One row after the other takes a step per token; side by side they would share them."""
    together, apart = Rowmill(small_model()), Rowmill(small_model())
    together.run(workload_of((5, 1, 6), (5, 1, 6)))
    apart.run(workload_of((5, 1, 6), (5, 1, 6), arrivals=(0, 6)))
    assert (together.engine.stats.steps, apart.engine.stats.steps) == (6, 12)
