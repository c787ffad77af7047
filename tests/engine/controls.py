"""Controls as tests ask for them: compiled, and of rows that have come to some token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from engine import SamplingParams
from engine.controls.apply import controlled
from engine.controls.compiled import Controls, ControlsCompiler
from engine.controls.logit_controls import RowControls
from engine.row_state import RowState
from engine.state import RequestState
from tests.engine.runs import request
from vocab.tokenizer import Tokenizer


def compiled(
    prompt: Sequence[int],
    vocab_size: int | None = 64,
    tokenizer: Tokenizer | None = None,
    ends: Sequence[int] = (),
    max_new_tokens: int = 1000,
    **params: Any,
) -> Controls:
    asked = request("a", prompt, **params)
    return ControlsCompiler(vocab_size, tokenizer, frozenset(ends)).compile(asked, max_new_tokens)


def new_row(
    prompt: Sequence[int],
    tokenizer: Tokenizer | None = None,
    ends: Sequence[int] = (),
    max_new_tokens: int = 1000,
    **params: Any,
) -> RowState:
    """A row that has no token yet."""
    controls = compiled(prompt, 2**20, tokenizer, ends, max_new_tokens, **params)
    state = RequestState(request("a", prompt, **params), max_new_tokens, controls)
    return RowState(state, 0, None)


def row_controls(
    prompt: Sequence[int], tokens: Sequence[int], vocab_size: int, **params: Any
) -> RowControls | None:
    """Of a row that has these tokens."""
    its = compiled(prompt, vocab_size, **params).logits
    if its is None:
        return None
    row = RowControls(its, list(tokens))
    for token in tokens:
        row.observe(token)
    return row


def controlled_logits(
    logits: Sequence[float], prompt: Sequence[int], tokens: Sequence[int], **params: Any
) -> Tensor:
    """Of one row."""
    row = row_controls(prompt, tokens, len(logits), **params)
    return controlled(torch.tensor([logits]), [row])[0]


def greedy(**params: Any) -> SamplingParams:
    return SamplingParams(temperature=0.0, **params)
