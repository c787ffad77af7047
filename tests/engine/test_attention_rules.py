"""Layers attend as their rules say, in the kernels' way and in torch's, in any company."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.attention import masked_attention, visible_mask
from engine.attention_trials import attention_trials
from engine.cancelling import cancelling_factors
from engine.invariance import KEY_TILE, round_up
from engine.models.packed import AttentionRule, ModelShape
from engine.probe import probe
from tests.engine.attention_mix import Mix, Token, plainly_attended, shape_of
from tests.engine.kernels import needs_kernels
from tests.engine.models import SHAPES, naive_logits, random_model
from tests.engine.runs import SmallTokenizer, prompt_of, request, run_all

WAYS = [pytest.param(True, id="native", marks=needs_kernels), pytest.param(False, id="torch")]
BOUNDS = settings(max_examples=60, deadline=None)
# (query heads, key/value heads, head width)
HEADS = [(1, 1, 2), (4, 4, 16), (6, 2, 10), (6, 1, 17), (4, 2, 32), (3, 3, 72)]
LENGTHS = [1, 2, 15, 16, 17, 63, 64, 65, 127, 128, 129]
RULES = [
    AttentionRule(scale=0.3, window=40),
    AttentionRule(scale=0.2, window=70, softcap=2.0),
    AttentionRule(scale=0.25, softcap=5.0),
]

lengths = st.sampled_from(LENGTHS) | st.integers(1, 200)
rules = st.builds(
    AttentionRule,
    scale=st.sampled_from([0.1, 0.25, 0.5]),
    window=st.none() | lengths | st.just(1000),
    softcap=st.none() | st.sampled_from([0.5, 5.0, 50.0]),
)
shapes = st.builds(shape_of, st.sampled_from(HEADS), rules)


@st.composite
def rows_of_prompts(draw: st.DrawFn) -> list[Token]:
    """Up to nine rows of up to three prompts, in any order."""
    prompts = draw(st.lists(lengths, min_size=1, max_size=3))
    which = draw(st.lists(st.integers(0, len(prompts) - 1), min_size=1, max_size=9))
    return [Token(n, prompts[n], place, draw(lengths)) for place, n in enumerate(which)]


@st.composite
def chunk_of_prompt(draw: st.DrawFn) -> list[Token]:
    start, num_tokens = draw(st.just(0) | lengths), draw(lengths)
    prompt = draw(st.integers(3, 9))
    return [Token(prompt, position + 1) for position in range(start, start + num_tokens)]


chunks_of_prompts = st.lists(chunk_of_prompt(), max_size=2)


@pytest.mark.parametrize("is_native", WAYS)
@given(shape=shapes, rows=rows_of_prompts(), chunks=chunks_of_prompts)
@BOUNDS
def test_tokens_attend_as_plain_float64_says(
    shape: ModelShape, rows: list[Token], chunks: list[list[Token]], is_native: bool
) -> None:
    tokens = [*rows, *(token for chunk in chunks for token in chunk)]
    for token, out_HD in zip(tokens, Mix(shape, rows, chunks, is_native).attended(), strict=True):
        expected_HD = plainly_attended(shape, token)
        torch.testing.assert_close(out_HD.double(), expected_HD, atol=1e-5, rtol=0)


@pytest.mark.parametrize("is_native", WAYS)
@given(shape=shapes, rows=rows_of_prompts(), chunks=chunks_of_prompts)
@BOUNDS
def test_tokens_attend_alike_alone_and_in_company(
    shape: ModelShape, rows: list[Token], chunks: list[list[Token]], is_native: bool
) -> None:
    outs = iter(Mix(shape, rows, chunks, is_native).attended())
    for row in rows:
        assert torch.equal(next(outs), Mix(shape, [row], [], is_native).attended()[0])
    for chunk in chunks:
        for out_HD in Mix(shape, [], [chunk], is_native).attended():
            assert torch.equal(next(outs), out_HD)


@pytest.mark.parametrize("is_native", WAYS)
@pytest.mark.parametrize("softcap", [None, 5.0])
def test_a_row_whose_window_its_prompt_has_left_does_not_depend_on_it(
    softcap: float | None, is_native: bool
) -> None:
    """To the bit, beside a row of the prompt that still sees it."""
    shape = shape_of((4, 2, 16), AttentionRule(scale=0.25, window=30, softcap=softcap))
    outs = []
    for prompt, num_prompt in [(0, 70), (1, 70), (2, 1), (3, 200)]:
        near, far = Token(prompt, num_prompt, 0, 29), Token(prompt, num_prompt, 1, 30)
        outs.append(Mix(shape, [near, far], [], is_native).attended())
    assert all(torch.equal(far_HD, outs[0][1]) for _, far_HD in outs)
    assert not any(torch.equal(near_HD, outs[0][0]) for near_HD, _ in outs[1:])


@pytest.mark.parametrize("is_native", WAYS)
def test_a_longer_prompt_beside_it_changes_no_row(is_native: bool) -> None:
    """Of a length at which a product over all keys would sum in another order."""
    for rule in RULES:
        shape = shape_of((6, 2, 10), rule)
        row, beside = Token(0, 520, 0, 20), Token(1, 1000, 1, 250)
        alone, together = (Mix(shape, rows, [], is_native) for rows in ([row], [row, beside]))
        assert torch.equal(alone.attended()[0], together.attended()[0])


@pytest.mark.parametrize("num_queries", [1, 4, 64])
def test_more_padding_changes_no_bits_however_many_keys_there_are(num_queries: int) -> None:
    most, generator = 1344, torch.Generator().manual_seed(5)
    q_1KQD = torch.randn(1, 2, num_queries, 16, generator=generator)
    k_1KSD, v_1KSD = torch.randn(2, 1, 2, most, 16, generator=generator)
    for length in (1, 200, 256, 257, 300, 384, 440, 448, 449, 512, 700, 769, 800, 960, 1025):
        ends = torch.tensor([[length]])
        outs = [
            masked_attention(
                q_1KQD,
                k_1KSD[:, :, :num_keys],
                v_1KSD[:, :, :num_keys],
                visible_mask(ends - 1, ends, num_keys, None),
                AttentionRule(scale=0.25),
            )
            for num_keys in range(round_up(length, KEY_TILE), most + 1, KEY_TILE)
        ]
        assert all(torch.equal(out, outs[0][0]) for out, _ in outs)
        assert all(torch.equal(lse, outs[0][1]) for _, lse in outs)


def test_padding_changes_no_order_of_sums_in_half_precision() -> None:
    """Of values whose exact sum is 0, so that nothing but rounding is left, which tells of it."""
    num_keys = 1000
    _, sums = cancelling_factors(0, 64, num_keys, torch.Generator().manual_seed(0))
    ends_11, rule = torch.tensor([[num_keys]]), AttentionRule(scale=1.0)
    outs = []
    for padded in (1024, 1088, 2048):
        kv_11SD = torch.zeros(1, 1, padded, 64, dtype=torch.float16)
        kv_11SD[0, 0, :num_keys] = sums.T
        mask = visible_mask(ends_11 - 1, ends_11, padded, None)
        out, _ = masked_attention(torch.zeros_like(kv_11SD[:, :, :4]), kv_11SD, kv_11SD, mask, rule)
        outs.append(out)
    assert torch.equal(outs[0], outs[1]) and torch.equal(outs[0], outs[2])


@needs_kernels
@given(heads=st.sampled_from(HEADS), rows=rows_of_prompts(), chunks=chunks_of_prompts)
@BOUNDS
def test_a_window_that_hides_nothing_changes_no_bits(
    heads: tuple[int, int, int], rows: list[Token], chunks: list[list[Token]]
) -> None:
    without, wide = (
        Mix(shape_of(heads, AttentionRule(scale=0.25, window=window)), rows, chunks, True)
        for window in (None, 400)
    )
    for out_HD, expected_HD in zip(wide.attended(), without.attended(), strict=True):
        assert torch.equal(out_HD, expected_HD)


@pytest.mark.parametrize("shape", SHAPES)
def test_greedy_rows_are_those_of_naive_generation(shape: tuple[int, ...]) -> None:
    """With prompts and rows on both sides of the windows."""
    model = random_model(*shape, rules=RULES)
    mix = [request(str(n), prompt_of(n, n), temperature=0, max_tokens=80) for n in LENGTHS]
    for each, (row,) in zip(mix, run_all(model, mix).values(), strict=True):
        logits_TV = naive_logits(model, [*each.prompt_tokens, *row.tokens])
        expected = logits_TV[len(each.prompt_tokens) - 1 : -1].argmax(-1)
        assert row.tokens == expected.tolist()


@pytest.mark.parametrize("shape", SHAPES)
def test_rows_are_the_same_alone_and_in_company(shape: tuple[int, ...]) -> None:
    model = random_model(*shape, sequence_len=900, rules=RULES, is_chaotic=True)
    mix = [request(str(n), prompt_of(n, n), 1 + n % 5, max_tokens=75) for n in (*LENGTHS, 600)]
    alone = [run_all(model, [each], SmallTokenizer(), max_rows=1) for each in mix]
    together = run_all(model, mix, SmallTokenizer(), max_rows=64)
    assert together == {name: rows for run in alone for name, rows in run.items()}


def test_the_probe_holds_under_each_rule() -> None:
    verdict = probe(random_model(rules=RULES, n_layer=4), 8)
    assert verdict.is_invariant, verdict.failures


def test_there_is_a_trial_of_each_rule_and_each_once() -> None:
    shape = random_model(rules=RULES, n_layer=7).shape
    expected = {" under a window", " under a window with capped scores", " with capped scores"}
    trials = attention_trials(shape, torch.device("cpu"), torch.float32)
    for what in ("rows", "prompts", "a prompt's rows"):
        names = [trial.name for trial in trials]
        assert sorted(name for name in names if name.startswith(f"attention of {what}")) == sorted(
            f"attention of {what}{label}" for label in expected
        )
