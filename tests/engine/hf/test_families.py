"""Every family's rows are its own: what transformers generates, whatever shares the batch."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine import Engine, EngineConfig
from engine.models import load_model
from tests.engine.hf.conftest import Checkpoint
from tests.engine.hf.families import FAMILIES, write_checkpoint
from tests.engine.hf.runs import generated, prompts, request, run


@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_rows_are_those_of_transformers_token_for_token(
    checkpoint: Checkpoint, family: str
) -> None:
    model, _ = load_model(checkpoint(family))
    engine = Engine(model, None, EngineConfig(max_rows=3))  # so few that rows wait
    asked = [request(n, its, 1 + n % 2, temperature=0.0) for n, its in enumerate(prompts())]
    results = run(engine, asked)
    for its, expected in zip(asked, generated(checkpoint(family), asked), strict=True):
        assert [row.tokens for row in results[its.id].rows] == [expected] * its.num_samples


@pytest.mark.parametrize("family", FAMILIES)
def test_a_row_is_the_same_alone_and_in_company(checkpoint: Checkpoint, family: str) -> None:
    model, _ = load_model(checkpoint(family))
    asked = [request(n, its, num_samples=3, seed=n) for n, its in enumerate(prompts())]
    engine = Engine(model, None, EngineConfig(max_rows=7))
    together = run(engine, asked)
    if not engine.is_invariant:  # then it has said so, and promises nothing
        return
    alone = Engine(model, None, EngineConfig(max_rows=1))
    for its in asked:
        assert run(alone, [its])[its.id].rows == together[its.id].rows


@pytest.mark.parametrize("family", ["llama", "gemma2", "mistral"])
def test_prompts_in_many_chunks_that_begin_alike_are_no_other(family: str, tmp_path: Path) -> None:
    """Longer than a chunk of prefill, and with keys and values that later requests find kept."""
    fields = FAMILIES[family] | {"max_position_embeddings": 1024}
    if "sliding_window" in fields:
        fields |= {"sliding_window": 70}
    folder = write_checkpoint(family, fields, tmp_path)
    (long,) = prompts((700,))
    asked = [request(n, [*long[: 700 - n], 5 + n], temperature=0.0) for n in range(3)]
    model, _ = load_model(folder)
    results = run(Engine(model, None), asked)
    expected = generated(folder, asked)
    assert [results[its.id].rows[0].tokens for its in asked] == expected


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_gives_rows_and_says_whether_they_can_be_repeated(
    checkpoint: Checkpoint, dtype: str
) -> None:
    for family in ("llama", "gemma2", "gpt2", "mixtral"):
        model, _ = load_model(checkpoint(family), dtype=dtype)
        engine = Engine(model, None, EngineConfig(max_rows=4))
        asked = [request(n, its, num_samples=2, seed=n) for n, its in enumerate(prompts())]
        results = run(engine, asked)
        assert {row.finish_reason for its in results.values() for row in its.rows} <= {
            "length",
            "stop",
        }
        assert {its.reproducible for its in results.values()} == {engine.is_invariant}
        assert engine.provenance.dtype == dtype


def test_the_families_without_experts_need_no_measures(checkpoint: Checkpoint) -> None:
    """Their products are the engine's own, and so are invariant by construction."""
    for family in ("llama", "gpt2", "gemma"):
        model, _ = load_model(checkpoint(family))
        provenance = Engine(model, None).provenance
        assert provenance.reproducible
        if provenance.kernels != "torch":
            assert provenance.policy == "none"
