"""Controls change logits as docs/sampler.md says, which is as transformers and OpenAI do."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers.generation.logits_process import (
    LogitsProcessorList,
    MinNewTokensLengthLogitsProcessor,
    MinPLogitsWarper,
    NoBadWordsLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    SequenceBiasLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from engine import RequestError, SamplingParams
from engine.controls.apply import controlled
from engine.logprobs import drawn_logprobs
from engine.sampler import sample
from tests.engine import reference_controls
from tests.engine.controls import compiled, controlled_logits, new_row, row_controls
from tests.engine.models import ScriptedModel, random_model
from tests.engine.runs import SmallTokenizer, new_engine, prompt_of, request, run_all
from vocab import ByteTokenizer

SIZE = 24
tokens = st.integers(0, SIZE - 1)
histories = st.tuples(st.lists(tokens, min_size=1, max_size=30), st.lists(tokens, max_size=30))
percents = st.integers(-200, 200).map(lambda its: its / 100)
settings_of_controls = st.fixed_dictionaries(
    {},
    optional={
        "logit_bias": st.dictionaries(tokens, percents | st.sampled_from([-100.0, 100.0])),
        "repetition_penalty": st.integers(1, 1000).map(lambda its: its / 100),
        "frequency_penalty": percents,
        "presence_penalty": percents,
        "bad_words": st.lists(st.lists(tokens, min_size=1, max_size=3), max_size=8),
        "min_tokens": st.integers(0, 30),
        "stop_token_ids": st.lists(tokens, max_size=3, unique=True),
    },
)
filters = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.integers(20, 300).map(lambda its: its / 100),
        "top_k": st.integers(1, SIZE + 3),
        "top_p": st.integers(1, 99).map(lambda its: its / 100 + 0.00123),
        "min_p": st.integers(0, 90).map(lambda its: its / 100 + 0.00123),
    },
)


def random_logits(seed: int, num_rows: int = 1, size: int = SIZE) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(num_rows, size, generator=generator) * 3


def transformers_scores(
    logits_V: Tensor, prompt: list[int], row: list[int], params: dict[str, Any]
) -> Tensor:
    """What its processors and warpers make of the logits, in its order and in float64.

    It has no penalties of presence and frequency; OpenAI's definition stands in their place.
    """
    its = LogitsProcessorList()
    if biases := params.get("logit_bias"):
        its.append(SequenceBiasLogitsProcessor({(token,): float(b) for token, b in biases.items()}))
    if "repetition_penalty" in params:
        its.append(RepetitionPenaltyLogitsProcessor(params["repetition_penalty"]))
    history = torch.tensor([[*prompt, *row]])
    scores = its(history, logits_V.double()[None])
    counts_V = torch.bincount(torch.tensor(row, dtype=torch.long), minlength=SIZE)
    scores -= params.get("frequency_penalty", 0) * counts_V
    scores -= params.get("presence_penalty", 0) * (counts_V > 0)
    its = LogitsProcessorList()
    if words := params.get("bad_words"):
        its.append(NoBadWordsLogitsProcessor([list(word) for word in words]))
    if ends := params.get("stop_token_ids"):
        its.append(
            MinNewTokensLengthLogitsProcessor(len(prompt), params.get("min_tokens", 0), ends)
        )
    its.append(TemperatureLogitsWarper(float(params.get("temperature", 1.0))))
    if "top_k" in params:
        its.append(TopKLogitsWarper(params["top_k"]))
    if "top_p" in params:
        its.append(TopPLogitsWarper(params["top_p"]))
    if "min_p" in params:
        its.append(MinPLogitsWarper(params["min_p"]))
    return its(history, scores)[0]


@settings(max_examples=500)
@given(st.integers(0, 2**32), histories, settings_of_controls, filters)
def test_the_distribution_is_the_one_of_transformers(
    seed: int, history: tuple[list[int], list[int]], controls: dict[str, Any], its: dict[str, Any]
) -> None:
    prompt, row = history
    logits_RV = random_logits(seed)
    params = controls | its
    scores_V = transformers_scores(logits_RV[0], prompt, row, params)
    expected = scores_V.softmax(-1)
    state = row_controls(prompt, row, SIZE, **params)
    draw = sample(controlled(logits_RV, [state]), [SamplingParams(**params)], [0.5])
    if expected.isnan().any():  # nothing is left to draw
        assert draw.tokens == [None]
        return
    # A large score is known to so many digits only, and so is the exponent that it comes to.
    largest = float(scores_V[scores_V.isfinite()].abs().max())
    rel = 2e-5 + 4 * torch.finfo(torch.float32).eps * largest
    weights_RV, totals = draw.weights_of([0])
    assert (weights_RV[0].double() / totals[0]).tolist() == pytest.approx(
        expected.tolist(), rel=rel, abs=1e-9
    )
    for token, logprob in enumerate(drawn_logprobs(weights_RV, totals, [0], SIZE)[0].top_logprobs):
        most = expected.sort(descending=True).values[token]
        assert math.exp(logprob) == pytest.approx(float(most), rel=rel, abs=1e-9)


@settings(max_examples=300)
@given(
    st.lists(st.tuples(histories, settings_of_controls), min_size=1, max_size=6),
    st.integers(0, 2**32),
)
def test_every_bit_is_the_one_of_the_plain_reference(
    rows: list[tuple[tuple[list[int], list[int]], dict[str, Any]]], seed: int
) -> None:
    """Rows of all kinds in one step."""
    logits_RV = random_logits(seed, len(rows))
    before = logits_RV.clone()
    states = [row_controls(*history, SIZE, **params) for history, params in rows]
    found = controlled(logits_RV, states)
    assert torch.equal(logits_RV, before), "the raw logits are needed afterwards"
    for (history, params), found_V, logits_V in zip(rows, found, logits_RV, strict=True):
        asked = dict(params)
        ends = asked.pop("stop_token_ids", ())
        expected = reference_controls.controlled(logits_V.tolist(), *history, **asked, ends=ends)
        assert found_V.tolist() == expected


def test_what_is_not_a_number_is_not_hidden_by_a_ban() -> None:
    for bad in (math.nan, math.inf):
        assert controlled_logits([bad, 0.0], [0], [], bad_words=[[0]])[0].isnan()


def test_rows_without_controls_pass_untouched() -> None:
    logits_RV = random_logits(1, 3)
    assert controlled(logits_RV, [None] * 3) is logits_RV
    assert compiled([1], repetition_penalty=1, logit_bias={3: 0}, min_tokens=4).logits is None


def test_counts_follow_a_row_through_hundreds_of_tokens() -> None:
    row = new_row(prompt_of(300, 1), frequency_penalty=0.5, repetition_penalty=1.5)
    taken = prompt_of(500, 2, vocab_size=400)
    for token in taken:
        row.append(token)
    assert row.controls is not None and row.controls.counts is not None
    counts = row.controls.counts
    listed = dict(zip(counts.tokens.tolist(), counts.counts.tolist(), strict=True))
    assert listed == {token: taken.count(token) for token in {*taken, *prompt_of(300, 1)}}


def test_min_tokens_puts_off_every_token_that_ends_a_row() -> None:
    for params in ({}, {"stop_token_ids": [9]}, {"stop_token_ids": [9], "ignore_eos": True}):
        model = ScriptedModel(1, [None], vocab_size=16)
        asked = request("a", [1], 200, max_tokens=12, min_tokens=5, **params)
        rows = run_all(model, [asked], Ends16())["a"]
        ends = ({1, 0} if "ignore_eos" not in params else set()) | {
            *params.get("stop_token_ids", ())
        }
        lengths = {len(row.tokens) for row in rows}
        assert min(lengths) == 6 and len(lengths) > 4
        for row in rows:
            assert (row.tokens[-1] in ends) == (row.finish_reason == "stop")
            assert not ends & {*row.tokens[:-1]}


class Ends16(SmallTokenizer):
    """Of sixteen tokens."""

    def get_vocab_size(self) -> int:
        return 16


class EndsBeyond(Ends16):
    """It names an end that is not among its tokens, nor among the model's."""

    def encode_special(self, name: str) -> int:
        return 16 + super().encode_special(name)


def test_an_end_that_the_model_can_not_come_to_is_put_off_in_no_row() -> None:
    """In the flat logits of a batch it would be a token of the row after it: here 17, its 1."""
    model = ScriptedModel(1, [1], vocab_size=16)
    asked = request("a", [1], 3, max_tokens=4, temperature=0, min_tokens=4)
    rows = run_all(model, [asked], EndsBeyond())["a"]
    assert [row.tokens for row in rows] == [[1] * 4] * 3


def test_a_forced_token_ends_no_row_that_is_too_short() -> None:
    tokenizer = ByteTokenizer()
    special = tokenizer.encode_special
    call = [special("<|python_start|>"), *b"4+4", special("<|python_end|>")]
    model = ScriptedModel(1, [*call, 0, 0, 0, ord("x")])
    stop = {"stop_token_ids": [ord("8")], "max_tokens": 9}
    (row,) = run_all(model, [request("a", [1], **stop)], tokenizer)["a"]
    assert (len(row.tokens), row.finish_reason) == (7, "stop")
    for min_tokens, length in ((6, 7), (7, 9)):
        asked = request("a", [1], min_tokens=min_tokens, **stop)
        assert len(run_all(model, [asked], tokenizer)["a"][0].tokens) == length


def test_forced_tokens_count_as_tokens_of_the_row() -> None:
    tokenizer = ByteTokenizer()
    special = tokenizer.encode_special
    call = [special("<|python_start|>"), *b"4+4", special("<|python_end|>")]
    after = [0.0] * 265
    after[ord("8")], after[ord("b")] = 1.0, 0.5
    model = ScriptedModel(1, [*call, 0, 0, 0, after])
    for penalty, spoken in ((0.0, "8"), (1.0, "b")):
        asked = request("a", [1], max_tokens=9, temperature=0, presence_penalty=penalty)
        (row,) = run_all(model, [asked], tokenizer)["a"]
        assert (row.masks[5:], chr(row.tokens[-1])) == ([0, 0, 0, 1], spoken)


def test_a_bad_word_never_comes_and_its_parts_do() -> None:
    model = ScriptedModel(2, [None], vocab_size=4)
    asked = request("a", [3, 0], 100, max_tokens=30, bad_words=[[3, 0, 1], [2], [1, 1]])
    said = [[3, 0, *row.tokens] for row in run_all(model, [asked])["a"]]
    for row in said:
        assert 2 not in row
        assert (1, 1) not in itertools.pairwise(row)
        assert (3, 0, 1) not in zip(row, row[1:], row[2:], strict=False)
    assert any((0, 1) in itertools.pairwise(row) for row in said)


def test_bad_words_of_text_are_banned_with_a_space_before_them_too() -> None:
    class Words(SmallTokenizer):
        def encode(self, text: str) -> list[int]:
            return {"two": [20], " two": [21, 22], "no": [23, 24], " no": [25]}[text]

    its = compiled([1], tokenizer=Words(), bad_words=["two", "no"]).logits
    assert its is not None
    assert its.banned_tokens.tolist() == [20, 25]
    assert its.bad_words.after([21], []) == [22] and its.bad_words.after([1], [23]) == [24]


def test_where_the_controls_leave_no_token_the_row_ends_with_an_error() -> None:
    model = ScriptedModel(1, [None], vocab_size=4)
    engine = new_engine(model)
    words = [[0], [1], [2], [3, 3]]
    engine.submit(request("a", [0], max_tokens=9, bad_words=words))
    (result,) = engine.step() + engine.step()
    assert result.rows[0].tokens == [3] and result.rows[0].finish_reason == "error"
    assert result.error is not None and "controls leave no token" in result.error


@pytest.mark.parametrize(
    ("field", "params"),
    [
        ("logit_bias", {"logit_bias": {64: 1.0}}),
        ("stop_token_ids", {"stop_token_ids": [3, 64]}),
        ("bad_words", {"bad_words": [[1, 64]]}),
        ("bad_words", {"bad_words": ["text"]}),
        ("stop", {"stop": ["text"]}),
        ("top_logprobs", {"logprobs": True, "top_logprobs": 65}),
        ("min_tokens", {"min_tokens": 500}),
        ("regex", {"regex": "a"}),
        ("grammar", {"grammar": "start: /a/"}),
    ],
)
def test_what_a_model_cannot_do_is_refused_before_any_row_runs(
    field: str, params: dict[str, Any]
) -> None:
    """By an engine without a tokenizer."""
    engine = new_engine(random_model(vocab_size=64))
    with pytest.raises(RequestError) as caught:
        engine.submit(request("a", [1], **params))
    assert caught.value.field == field
    assert not engine.has_work


@pytest.mark.parametrize(
    ("field", "params"),
    [
        ("logit_bias", {"logit_bias": {0: 1.0}}),
        ("repetition_penalty", {"repetition_penalty": 2}),
        ("frequency_penalty", {"frequency_penalty": 1}),
        ("presence_penalty", {"presence_penalty": 1}),
        ("bad_words", {"bad_words": [[0]]}),
        ("min_tokens", {"min_tokens": 1, "stop_token_ids": [0]}),
        ("top_logprobs", {"logprobs": True, "top_logprobs": 1}),
    ],
)
def test_a_model_that_hides_the_size_of_its_vocabulary_takes_nothing_that_depends_on_it(
    field: str, params: dict[str, Any]
) -> None:
    with pytest.raises(RequestError, match="tells the size") as caught:
        compiled([1], vocab_size=None, **params)
    assert caught.value.field == field
    assert compiled([1], vocab_size=None, stop_token_ids=[7]).end_tokens == {7}
