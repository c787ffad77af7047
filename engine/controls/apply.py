"""The controls of all rows, applied to a step's logits. Shape suffixes: R rows, V vocabulary.

Their order is that of transformers' `_get_logits_processor`. The entries that change are gathered
from all rows, changed, and put back: what a step costs does not depend on how different its rows
are. Each entry is changed alone, so a row's bits do not depend on the others.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from engine.controls.logit_controls import IntArray, RowControls
from engine.controls.structure import allowed_tokens

_Rows = Sequence[tuple[int, RowControls]]
"""Places in the batch, with what acts there."""


def controlled(
    logits_RV: Tensor, controls: Sequence[RowControls | None], *, is_raw_needed: bool = True
) -> Tensor:
    """The logits under each row's controls. The given ones stay as they are, if they are needed."""
    rows = [(place, its) for place, its in enumerate(controls) if its is not None]
    if not rows:
        return logits_RV
    if is_raw_needed or not logits_RV.is_contiguous():
        logits_RV = logits_RV.clone(memory_format=torch.contiguous_format)
    _add_biases(logits_RV, rows)
    _penalize(logits_RV, rows)
    _ban(logits_RV, rows)
    _hold_to_structures(logits_RV, rows)
    return logits_RV


def _add_biases(logits_RV: Tensor, rows: _Rows) -> None:
    rows = [(place, row) for place, row in rows if len(row.its.bias_tokens)]
    if not rows:
        return
    entries = _entries(logits_RV, [(place, row.its.bias_tokens) for place, row in rows])
    biases = np.concatenate([row.its.biases for _, row in rows])
    logits_RV.view(-1)[entries] += torch.from_numpy(biases).to(logits_RV.device)


def _penalize(logits_RV: Tensor, rows: _Rows) -> None:
    counted = [(place, row.its.penalties, row.counts) for place, row in rows if row.counts]
    if not counted:
        return
    entries = _entries(logits_RV, [(place, its.tokens) for place, _, its in counted])
    counts = np.concatenate([its.counts for _, _, its in counted])
    lengths = [len(its.tokens) for _, _, its in counted]
    penalties = np.array([its for _, its, _ in counted], dtype=np.float32)
    table = np.vstack([penalties.T.repeat(lengths, axis=1), counts])
    repetition, frequency, presence, counts_E = torch.from_numpy(table).to(logits_RV.device)
    flat = logits_RV.view(-1)
    its = flat[entries]
    its = torch.where(its < 0, its * repetition, its / repetition)
    its -= frequency * counts_E
    its -= presence * counts_E.clamp(max=1)
    flat[entries] = its


def _ban(logits_RV: Tensor, rows: _Rows) -> None:
    """By adding minus infinity, so that what is not a number stays so, and the row fails."""
    banned = [(place, tokens) for place, row in rows for tokens in row.banned_tokens()]
    if banned:
        entries = _entries(logits_RV, banned)
        flat = logits_RV.view(-1)
        flat[entries] = flat[entries] - torch.inf  # a token may be listed twice


def _hold_to_structures(logits_RV: Tensor, rows: _Rows) -> None:
    """By adding minus infinity, as above."""
    held = [(place, row.structure) for place, row in rows if row.structure is not None]
    if held:
        places = torch.tensor([place for place, _ in held], device=logits_RV.device)
        allowed_RV = allowed_tokens([its for _, its in held]).to(logits_RV.device)
        bans_RV = torch.where(allowed_RV, 0.0, -torch.inf).to(logits_RV.dtype)
        logits_RV.index_add_(0, places, bans_RV)


def _entries(logits_RV: Tensor, tokens_of: Sequence[tuple[int, IntArray]]) -> Tensor:
    """Indices into the flat logits of each place's tokens, one after the other."""
    firsts = np.array([place for place, _ in tokens_of]) * logits_RV.size(-1)
    entries = np.concatenate([tokens for _, tokens in tokens_of])
    entries += firsts.repeat([len(tokens) for _, tokens in tokens_of])
    return torch.from_numpy(entries).to(logits_RV.device)
