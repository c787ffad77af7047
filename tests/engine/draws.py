"""Random models, requests and settings, named by small values so that a failure is readable."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from hypothesis import strategies as st

from engine import Request, SamplingParams
from engine.models.nanochat import GPT, GPT2026Config
from engine.models.nanochat.config import SMEAR_CHANNELS
from engine.models.nanochat.layers import Decoder
from engine.models.packed import AttentionRule
from tests.engine.models import random_model
from tests.engine.nanochat_cases import Case, ChaoticGPT2026
from tests.engine.runs import prompt_of

MOST_SAMPLES = 9
CONTEXT = 704  # room for a prompt of more than one prefill chunk, and a row after it


@dataclasses.dataclass(frozen=True, slots=True)
class Weights:
    """A random model, by what it is made from."""

    n_kv_head: int
    group: int
    """Query heads per key/value head."""
    head_dim: int
    n_layer: int
    vocab_size: int
    rules: tuple[AttentionRule, ...]
    """Of its layers, by turns; empty: nanochat's."""
    has_poison: bool
    """Whether the model makes NaN of one token: the last of the vocabulary."""
    seed: int

    @property
    def width(self) -> int:
        return self.n_kv_head * self.group * self.head_dim

    def model(self) -> GPT:
        """A chaotic one."""
        model = random_model(
            self.n_kv_head * self.group,
            self.n_kv_head,
            self.head_dim,
            self.n_layer,
            self.vocab_size,
            sequence_len=CONTEXT,
            seed=self.seed,
            is_chaotic=True,
            rules=self.rules,
        )
        self._poison(model)
        return model

    def model_2026(self) -> ChaoticGPT2026:
        """One of that version; with more heads where a config asks for too narrow a model."""
        more = max(1, -(-SMEAR_CHANNELS // self.width))
        config = GPT2026Config(
            sequence_len=CONTEXT,
            vocab_size=self.vocab_size,
            n_layer=self.n_layer,
            n_head=more * self.n_kv_head * self.group,
            n_kv_head=more * self.n_kv_head,
            n_embd=more * self.width,
            window_pattern="SL",
        )
        model = Case(seed=self.seed, lengths=(), config=config).chaotic_model()
        self._poison(model)
        return model

    def _poison(self, model: Decoder) -> None:
        if self.has_poison:
            model.transformer.wte.weight[self.vocab_size - 1] = math.nan


@dataclasses.dataclass(frozen=True, slots=True)
class Question:
    """A request but for its name and its number of rows."""

    prompt_length: int
    prompt_seed: int
    params: SamplingParams

    def request(self, name: str, num_samples: int, first_row: int = 0) -> Request:
        return Request(
            id=name,
            prompt_tokens=prompt_of(self.prompt_length, self.prompt_seed),
            num_samples=num_samples,
            first_row=first_row,
            params=self.params,
        )


# On both sides of every boundary of tiles, buckets and chunks, and any others.
LENGTHS = [1, 15, 16, 17, 63, 64, 65, 127, 128, 129, 511, 512, 513, 600]

rules = st.builds(
    AttentionRule,
    scale=st.sampled_from([0.1, 0.25, 0.5]),
    window=st.none() | st.sampled_from([1, 2, 16, 63, 64, 65, 128, 1000]) | st.integers(1, 200),
    softcap=st.none() | st.sampled_from([0.5, 3.0, 30.0]),
)

weights = st.builds(
    Weights,
    n_kv_head=st.integers(1, 4),
    group=st.sampled_from([1, 2, 3, 4, 5, 7, 11]),
    head_dim=st.sampled_from([2, 6, 8, 10, 16, 24, 32, 40]),
    n_layer=st.integers(1, 3) | st.integers(1, 8),
    vocab_size=st.sampled_from([64, 65, 67, 97, 128, 131, 257, 1003]),
    rules=st.just(()) | st.lists(rules, max_size=3).map(tuple),
    has_poison=st.booleans(),
    seed=st.integers(0, 9),
).filter(lambda its: its.width <= 160 and its.width * its.n_layer <= 480)  # else they are slow

limits = st.fixed_dictionaries(
    {
        "max_rows": st.sampled_from([2, 3, 5, 16, 64]),
        "kv_budget_tokens": st.just(200_000) | st.integers(500, 6000),
        "max_prefill_tokens": st.sampled_from([1, 100, 512, 700, 2048]),
        "prefix_cache": st.booleans(),
    }
)

tokens = st.integers(0, 63)  # each in all vocabularies, and each of SmallTokenizer's
controls = st.fixed_dictionaries(
    {},
    optional={
        "min_tokens": st.integers(0, 12),
        "stop": st.lists(st.text("0123456789+", min_size=1, max_size=3), max_size=3),
        "stop_token_ids": st.lists(tokens, max_size=3),
        "ignore_eos": st.booleans(),
        "repetition_penalty": st.floats(0.2, 5.0),
        "presence_penalty": st.floats(-2.0, 2.0),
        "frequency_penalty": st.floats(-2.0, 2.0),
        "logit_bias": st.dictionaries(tokens, st.floats(-4.0, 4.0), max_size=9),
        "bad_words": st.lists(
            st.sampled_from(["1", "23"]) | st.lists(tokens, min_size=1, max_size=3), max_size=4
        ),
        "return_prompt_logprobs": st.booleans(),
    },
)


def params_of(
    max_tokens: int, controls: dict[str, Any], logprobs: int, **fields: Any
) -> SamplingParams:
    """`logprobs`: below 0 none; else so many top ones, processed where it is odd."""
    controls = dict(controls)
    least = min(controls.pop("min_tokens", 0), max_tokens)
    if logprobs >= 0:
        mode = "processed" if logprobs % 2 else "raw"
        fields |= {"logprobs": True, "top_logprobs": logprobs, "logprobs_mode": mode}
    return SamplingParams(max_tokens=max_tokens, min_tokens=least, **controls, **fields)


questions = st.builds(
    Question,
    prompt_length=st.integers(1, 150) | st.sampled_from(LENGTHS),
    prompt_seed=st.integers(0, 2),
    params=st.builds(
        params_of,
        max_tokens=st.sampled_from([*range(1, 13), 64, 66]),
        temperature=st.sampled_from([0.0, 0.5, 1.0, 3.0]),
        top_k=st.none() | st.integers(1, 80),
        top_p=st.none() | st.floats(0.05, 1.0),
        min_p=st.none() | st.floats(0.0, 0.3),
        seed=st.integers(0, 2) | st.just(2**64 - 1),
        logprobs=st.integers(-4, 3),
        controls=st.just({}) | controls,
    ),
)

numbers = st.integers(0, 5)
nums_samples = st.integers(1, MOST_SAMPLES)
spans = st.integers(0, MOST_SAMPLES - 1).flatmap(
    lambda first: st.tuples(st.just(first), st.integers(1, MOST_SAMPLES - first))
)
"""First rows with numbers of samples."""
