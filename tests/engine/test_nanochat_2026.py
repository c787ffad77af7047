"""The engine's rows of nanochat since March 2026 are those of nanochat itself.

The vectors were made by its own code, see `make_nanochat_vectors.py`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from engine import Request
from engine.models.nanochat import GPT2026
from engine.models.packed import Attend, ModelShape
from engine.probe import probe
from tests.engine.nanochat_cases import CASES, NUM_TOKENS
from tests.engine.runs import SmallTokenizer, drain, new_engine, prompt_of, request, run_all
from tests.engine.scarce import Scarce

VECTORS = json.loads((Path(__file__).parent / "data" / "nanochat_2026.json").read_text())["cases"]


def plain_attention(shape: ModelShape) -> Attend:
    """Attention over one whole sequence, straight from what `AttentionRule` says."""

    def attend(layer: int, q_THD: Tensor, k_TKD: Tensor, v_TKD: Tensor) -> Tensor:
        rule, places_T = shape.rules[layer], torch.arange(len(q_THD))
        group = shape.num_heads // shape.num_kv_heads
        k_THD, v_THD = (its.repeat_interleave(group, 1) for its in (k_TKD, v_TKD))
        scores_HTT = torch.einsum("thd,shd->hts", q_THD, k_THD) * rule.scale
        ago_TT = places_T.unsqueeze(1) - places_T
        is_hidden_TT = (ago_TT < 0) | (ago_TT >= (rule.window or len(q_THD)))
        weights_HTT = scores_HTT.masked_fill(is_hidden_TT, -torch.inf).softmax(-1)
        return torch.einsum("hts,shd->thd", weights_HTT, v_THD)

    return attend


def logits_after(model: GPT2026, tokens: list[int]) -> Tensor:
    """After the last token, by one forward over all of them."""
    ids, previous = torch.tensor(tokens), torch.tensor(tokens[:1] + tokens[:-1])
    last, attend = torch.tensor([len(tokens) - 1]), plain_attention(model.shape)
    logits: Tensor = model(ids, torch.arange(len(tokens)), attend, last, previous)
    return logits[0]


def greedy(name: str) -> list[Request]:
    params = {"temperature": 0, "max_tokens": NUM_TOKENS, "logprobs": True}
    return [request(str(n), its, **params) for n, its in enumerate(CASES[name].prompts())]


@pytest.mark.parametrize("name", CASES)
def test_logits_are_those_of_nanochat(name: str) -> None:
    model = CASES[name].model()
    for prompt, row in zip(CASES[name].prompts(), VECTORS[name], strict=True):
        logits = logits_after(model, prompt + row["tokens"][:-1])
        torch.testing.assert_close(logits, torch.tensor(row["last_logits"]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("max_rows", [1, 3, 64])
@pytest.mark.parametrize("name", CASES)
def test_greedy_rows_in_company_are_those_of_nanochat(name: str, max_rows: int) -> None:
    """Prompts and rows of all lengths in one batch, beside others that come and go."""
    others = [request(f"other {n}", prompt_of(9 * n + 1, n), n, max_tokens=n) for n in range(1, 9)]
    mix = [each for pair in zip(greedy(name), others, strict=False) for each in pair]
    mix += greedy(name)[len(others) :]
    rows = run_all(CASES[name].model(), mix, max_rows=max_rows, max_prefill_tokens=600)
    for number, expected in enumerate(VECTORS[name]):
        (row,) = rows[str(number)]
        assert row.tokens == expected["tokens"]
        assert row.logprobs == pytest.approx(expected["logprobs"], abs=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_rows_are_the_same_alone_and_in_company(name: str) -> None:
    """Of a chaotic model: equal only where all logits are, bit for bit."""
    model = CASES[name].chaotic_model()
    lengths = [length for length in CASES[name].lengths if length < 600]
    mix = [request(str(n), prompt_of(n, n), n % 5 + 1, max_tokens=20) for n in lengths]
    alone = {each.id: run_all(model, [each], SmallTokenizer(), max_rows=1)[each.id] for each in mix}
    for max_rows in (3, 64):
        assert run_all(model, mix, SmallTokenizer(), max_rows=max_rows) == alone


def test_rows_that_start_over_for_want_of_memory_are_the_same() -> None:
    model = CASES["groups"].chaotic_model()
    mix = [request(str(n), prompt_of(n, n), 4, max_tokens=20) for n in (1, 64, 150)]
    scarce = Scarce(model)
    engine = new_engine(scarce)
    for each in mix:
        engine.submit(each)
    scarce.fail_at(5, 12)
    assert drain(engine) == run_all(model, mix, max_rows=5)
    assert engine.stats.memory_shortages == 2


def without(part: str) -> Callable[[GPT2026], None]:
    def forget(model: GPT2026) -> None:
        weight = model.get_parameter(part)
        weight.copy_(torch.full_like(weight, 1.0 if part == "resid_lambdas" else 0.0))

    return forget


def without_windows(model: GPT2026) -> None:
    model.config = dataclasses.replace(model.config, window_pattern="L")


PARTS = {
    "resid_lambdas": without("resid_lambdas"),
    "x0_lambdas": without("x0_lambdas"),
    "smear_lambda": without("smear_lambda"),
    "the smear's gate": without("smear_gate.weight"),
    "backout_lambda": without("backout_lambda"),
    "value embeddings": without("value_embeds.3.weight"),
    "their gates": without("transformer.h.1.attn.ve_gate.weight"),
    "windows": without_windows,
}


@pytest.mark.parametrize("part", PARTS)
def test_each_part_has_its_share_in_the_logits(part: str) -> None:
    """Else the tests above would show little."""
    model = CASES["groups"].model()
    tokens = prompt_of(200, 7)
    whole = logits_after(model, tokens)
    PARTS[part](model)
    assert (logits_after(model, tokens) - whole).abs().max() > 1e-2


def test_smear_reads_the_token_before_and_leaves_the_first_one_as_it_is() -> None:
    model = CASES["one layer"].model()
    attend = plain_attention(model.shape)

    def logits(place: int, previous: int) -> Tensor:
        ids, places = torch.tensor([5]), torch.tensor([place])
        found: Tensor = model(ids, places, attend, None, torch.tensor([previous]))
        return found

    assert torch.equal(logits(0, 1), logits(0, 2))
    assert not torch.equal(logits(1, 1), logits(1, 2))


class SociableSmear(GPT2026):
    """Its smear looks at who else is in the batch."""

    def _embedded(self, tokens_T: Tensor, positions_T: Tensor, previous_T: Tensor) -> Tensor:
        own_TC = super()._embedded(tokens_T, positions_T, previous_T)
        return own_TC + 1e-3 * previous_T.float().mean()


def test_the_probe_tries_smear_in_company() -> None:
    ordinary = CASES["one layer"].model()
    sociable = SociableSmear(CASES["one layer"].config).requires_grad_(False).eval()
    sociable.load_state_dict(ordinary.state_dict())
    assert not any("forward" in failure for failure in probe(ordinary, 4).failures)
    assert any("the model's forward" in failure for failure in probe(sociable, 4).failures)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_runs_and_is_near(dtype: torch.dtype) -> None:
    mix = greedy("groups")
    rows = run_all(CASES["groups"].model().to(dtype), mix)
    for number, expected in enumerate(VECTORS["groups"]):
        (row,) = rows[str(number)]
        assert row.logprobs is not None and len(row.tokens) == NUM_TOKENS
        if row.tokens[0] == expected["tokens"][0]:
            assert row.logprobs[0] == pytest.approx(expected["logprobs"][0], abs=0.2)


@pytest.mark.parametrize(
    ("context", "pattern", "windows"),
    [
        (2048, "SSSL", (513, 513, 513, None, 513, None)),
        (2049, "ls", (None, 641, None, 641, None, None)),
        (500, "S", (129, 129, 129, 129, 129, None)),
        (129, "S", (None,) * 6),
    ],
)
def test_windows_follow_the_pattern_and_the_last_layer_sees_all(
    context: int, pattern: str, windows: tuple[int | None, ...]
) -> None:
    config = dataclasses.replace(
        CASES["deep"].config, n_layer=6, sequence_len=context, window_pattern=pattern
    )
    assert config.windows == windows
