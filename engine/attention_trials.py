"""Trials of attention with a model's heads: a row alone, and in company.

Shape suffixes: R rows, K key/value heads, Q queries per key/value head, G query heads per
key/value head, S keys, D head width.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from engine.attention import masked_attention, merge, visible_mask
from engine.cancelling import cancelling_factors, is_half
from engine.invariance import KEY_TILE, QUERY_TILE, round_up
from engine.models.packed import AttentionRule, ModelShape
from engine.trial import Trial
from engine.tried_rules import tried_rules

_NUM_ROWS = 64
_NUM_KEYS = 3 * KEY_TILE
_SIZES = (1, 2, 3, 4, 5, 8, 16, 17, 31, 33, 64)
_LONG_LENGTHS = (300, 1088, 700, 520, 264, 330, 900, 100, 380, 820, 1000, 345)
"""Libraries cut long sums, and where may depend on how many keys there are, padding included."""
_LONG_HEADS = 4


def attention_trials(shape: ModelShape, device: torch.device, dtype: torch.dtype) -> list[Trial]:
    """Rows with keys of their own, prompts with several queries, one prompt's rows, the merge."""
    generator = torch.Generator().manual_seed(2)
    heads, width = shape.num_kv_heads, shape.head_dim
    group = shape.num_heads // heads
    q_RKQD, k_RKSD = _queries_and_keys(
        (_NUM_ROWS, heads, QUERY_TILE * group, width),
        (_NUM_ROWS, heads, _NUM_KEYS, width),
        is_half(dtype),
        generator,
    )
    v_RKSD, other_RKQD = (torch.randn(its.shape, generator=generator) for its in (k_RKSD, q_RKQD))
    queries, keys, values, others = (
        its.to(device, dtype) for its in (q_RKQD, k_RKSD, v_RKSD, other_RKQD)
    )
    rows, others = queries[:, :, :group].contiguous(), others[:, :, :group].contiguous()
    lse, other_lse = torch.randn(2, *rows.shape[:-1], generator=generator).to(device)
    numbers_R = torch.arange(_NUM_ROWS)
    lengths_R = numbers_R * 37 % _NUM_KEYS + 1
    company = (keys, values, lengths_R.to(device))
    trials = [_trial("the merge of attention", merge, rows, lse, others, other_lse)]
    long = _long_company(rows, generator)
    for label, rule in tried_rules(shape):
        attend = _Attend(rule, group)
        one_prompt = _OnePrompt(attend, keys[:1], values[:1])
        trials += [
            _trial(f"attention of rows{label}", attend, rows, *company),
            _trial(f"attention of prompts{label}", attend, queries, *company),
            _trial(f"attention of a prompt's rows{label}", one_prompt, rows, numbers_R.to(device)),
            _trial(f"attention to many keys{label}", attend, *long),
        ]
    if is_half(dtype):
        attend = _Attend(AttentionRule(scale=1.0), group)
        values = _cancelling_values(lengths_R, v_RKSD.shape, generator).to(device, dtype)
        company = (keys, values, lengths_R.to(device))
        trials.append(_trial("attention's sums", attend, torch.zeros_like(rows), *company))
    return trials


def _trial(name: str, run: Callable[..., Tensor], *inputs: Tensor) -> Trial:
    sizes = tuple(size for size in _SIZES if size <= len(inputs[0]))
    return Trial(name=name, run=run, inputs=inputs, sizes=sizes, is_tiled=False)


def _long_company(rows_RKGD: Tensor, generator: torch.Generator) -> tuple[Tensor, ...]:
    """Some of the rows with many keys each, of four heads at most: others are computed alike."""
    some_RKGD = rows_RKGD[: len(_LONG_LENGTHS), :_LONG_HEADS].contiguous()
    sizes = (*some_RKGD.shape[:2], max(_LONG_LENGTHS), some_RKGD.size(-1))
    keys, values = (torch.randn(sizes, generator=generator).to(some_RKGD) for _ in range(2))
    return some_RKGD, keys, values, torch.tensor(_LONG_LENGTHS, device=some_RKGD.device)


class _Attend:
    """Under the least padding that the rows' lengths allow, so it depends on the company."""

    def __init__(self, rule: AttentionRule, group: int) -> None:
        self._rule, self.group = rule, group

    def __call__(
        self,
        q_RKQD: Tensor,
        k_RKSD: Tensor,
        v_RKSD: Tensor,
        lengths_R: Tensor,
        positions_RQ: Tensor | None = None,
    ) -> Tensor:
        """Without positions, queries that share keys are at the last one and those after it."""
        num_keys = round_up(int(lengths_R.max()), KEY_TILE)
        ends_R1 = lengths_R.unsqueeze(-1)
        if positions_RQ is None:
            positions_RQ = ends_R1 - 1
            if (num_queries := q_RKQD.size(2) // self.group) > 1:
                after_N = torch.arange(num_queries, device=ends_R1.device)
                positions_RQ = (positions_RQ + after_N).repeat_interleave(self.group, 1)
        mask = visible_mask(positions_RQ, ends_R1, num_keys, self._rule.window)
        keys, values = k_RKSD[:, :, :num_keys], v_RKSD[:, :, :num_keys]
        out, lse = masked_attention(q_RKQD, keys, values, mask, self._rule)
        return torch.cat([out.float(), lse.unsqueeze(-1)], -1)


class _OnePrompt:
    """Rows that share one prompt: their queries go into one entry, padded as in a step."""

    def __init__(self, attend: _Attend, k_1KSD: Tensor, v_1KSD: Tensor) -> None:
        self._attend, self._keys, self._values = attend, k_1KSD, v_1KSD
        self._lengths = torch.tensor([_NUM_KEYS - KEY_TILE // 2], device=k_1KSD.device)

    def __call__(self, q_RKGD: Tensor, numbers_R: Tensor) -> Tensor:
        """A row's number is how far it is beyond the prompt."""
        num_rows, group = q_RKGD.size(0), q_RKGD.size(2)
        padding = numbers_R.new_zeros(round_up(num_rows, QUERY_TILE) - num_rows)
        q_NKGD = torch.cat([q_RKGD, q_RKGD[padding]])
        positions_1N = (self._lengths + torch.cat([numbers_R, numbers_R[padding]])).unsqueeze(0)
        (out_KQX,) = self._attend(
            q_NKGD.transpose(0, 1).flatten(1, 2).unsqueeze(0),
            self._keys,
            self._values,
            self._lengths,
            positions_1N.repeat_interleave(group, 1),
        )
        by_row: Tensor = out_KQX.view(out_KQX.size(0), -1, group, out_KQX.size(-1)).transpose(0, 1)
        return by_row[:num_rows]


def _queries_and_keys(
    queries: tuple[int, ...], keys: tuple[int, ...], is_cancelling: bool, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Tensors of these shapes; `is_cancelling`: all scores are rounding, which shows in the lse."""
    counts = math.prod(queries[:-1]), math.prod(keys[:-1])
    if is_cancelling:
        q, k = cancelling_factors(*counts, keys[-1], generator)
    else:
        q, k = (torch.randn(count, keys[-1], generator=generator) for count in counts)
    return q.view(queries), k.view(keys)


def _cancelling_values(lengths_R: Tensor, shape: torch.Size, generator: torch.Generator) -> Tensor:
    """Values whose mean over a row's keys is rounding, and noise in the padding."""
    values_RKSD = torch.randn(shape, generator=generator)
    _, heads, _, width = shape
    for row, length in enumerate(lengths_R.tolist()):
        _, sums = cancelling_factors(0, heads * width, length, generator)
        values_RKSD[row, :, :length] = sums.view(heads, width, length).transpose(1, 2)
    return values_RKSD
