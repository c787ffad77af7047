"""Whether this machine keeps the promise for a model, and what has to be done for it."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn

from engine import mkl
from engine.attention_trials import attention_trials
from engine.invariance import PREFILL_CHUNK, ROW_TILES, UNPROBED_ROW_TILE, Policy
from engine.model_trials import forward_trial, product_trials
from engine.models.linear import Linear
from engine.models.packed import PackedModel, is_packed
from engine.models.placement import device_of, dtypes_of
from engine.native import kernels_for
from engine.native_attention_trials import native_attention_trials
from engine.sampler_trial import sampler_trial
from engine.trial import Trial
from engine.wave_runner import seed_shape

_LEAST_ROWS = 64
"""Are tried also where fewer may run: rows are to be those of a worker that runs more."""
_SHOWN = 3
_MKL_DTYPES = frozenset([torch.float32, torch.float64])

log = logging.getLogger("rowmill.engine")

_Findings = Sequence[tuple[Trial, frozenset[int]]]
"""Trials with the numbers of rows at which some row's bits differed."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a probe found."""

    policy: Policy
    failures: tuple[str, ...] = ()
    """What depended on company under this policy, such as "linear 384x1536 at 3 rows"."""
    unverified: tuple[str, ...] = ()
    """What could not be tried."""

    @property
    def is_invariant(self) -> bool:
        """Whether a row's bits were found not to depend on what shares the batch."""
        return not self.failures and not self.unverified

    def report(self) -> None:
        """Say where the promise can't be made."""
        if self.failures:
            log.warning(
                "NOT reproducible (%s): rows may depend on what shares the batch; see "
                "docs/reproducibility.md. It showed in %s",
                self.policy.name,
                "; ".join(self.failures),
            )
        elif self.unverified:
            log.info("not verified to be reproducible: %s", " and ".join(self.unverified))


@torch.inference_mode()
def probe(
    model: Any, max_rows: int, max_prefill_tokens: int = 2048, row_tile: int | None = None
) -> Verdict:
    """Try a model's products, forward, attention and sampling, in its dtype on its device.

    Of ROW_TILES the first that holds is taken; whether MKL is strict was decided when torch was
    imported. Where none holds, it is the one that leaves the fewest numbers of rows at which
    something differs. `row_tile` leaves no choice.

    A model of nanochat's own interface is never run here, as its forward may be anything. Its
    linear layers are tried if it is an nn.Module; its attention is unverified.
    """
    tiles = ROW_TILES if row_tile is None else (row_tile,)
    num_rows = max(max_rows, _LEAST_ROWS)
    num_tokens = num_rows + max_prefill_tokens + PREFILL_CHUNK
    trials = _trials(model, num_rows, num_tokens, tiles[0])
    findings = [(trial, trial.differing_sizes()) for trial in trials]
    tile = _cheapest_tile(findings, tiles)
    unverified = [] if is_packed(model) else ["the model's own attention"]
    if not isinstance(model, nn.Module):
        unverified.append("the model's products")
    if unverified and row_tile is None:
        tile = max(tile, UNPROBED_ROW_TILE)
    return Verdict(
        policy=_policy(model, tile),
        failures=tuple(_failures(findings, tile)),
        unverified=tuple(unverified),
    )


def _trials(model: Any, num_rows: int, num_tokens: int, tile: int) -> Iterator[Trial]:
    device = device_of(model)
    if isinstance(model, nn.Module):
        yield from product_trials(model, num_rows, num_tokens, tile)
    if is_packed(model):
        yield forward_trial(model, tile)
        yield from _attention_trials(model, device)
    shape = model.shape if is_packed(model) else seed_shape(model)
    yield sampler_trial(shape.vocab_size, device)


def _attention_trials(model: PackedModel, device: torch.device) -> list[Trial]:
    """Of the way that PackedRunner takes."""
    kernels = kernels_for(torch.empty(0, dtype=model.dtype, device=device))
    if kernels is None:
        return attention_trials(model.shape, device, model.dtype)
    return native_attention_trials(kernels, model.shape)


def _cheapest_tile(findings: _Findings, tiles: Sequence[int]) -> int:
    """The first under which no number of rows differs, else that under which fewest do."""
    differing = {size for trial, sizes in findings if trial.is_tiled for size in sizes}
    return min(tiles, key=lambda tile: sum(size % tile == 0 for size in differing))


def _failures(findings: _Findings, tile: int) -> Iterator[str]:
    for trial, differing in findings:
        sizes = sorted(size for size in differing if not trial.is_tiled or size % tile == 0)
        if sizes:
            yield f"{trial.name} at {_listed(sizes)} rows"


def _listed(sizes: list[int]) -> str:
    shown = ", ".join(map(str, sizes[:_SHOWN]))
    return shown if len(sizes) <= _SHOWN else f"{shown} and {len(sizes) - _SHOWN} other numbers of"


def _policy(model: Any, row_tile: int) -> Policy:
    """MKL does no products on other devices, in other dtypes, and where a kernel of ours does."""
    is_mkls = device_of(model).type == "cpu" and _MKL_DTYPES.issuperset(dtypes_of(model))
    if not is_mkls or _has_only_native_products(model):
        return Policy(row_tile=row_tile, is_mkl_strict=False)
    return Policy(row_tile=row_tile, is_mkl_strict=mkl.is_strict(), mkl_branch=mkl.code_branch())


def _has_only_native_products(model: Any) -> bool:
    if not isinstance(model, nn.Module):
        return False
    return all(
        isinstance(layer, Linear) and kernels_for(layer.weight) is not None
        for layer in model.modules()
        if not isinstance(layer, nn.Embedding) and _has_matrix(layer)
    )


def _has_matrix(layer: nn.Module) -> bool:
    """Of its own: something to multiply by, in whatever way it does so."""
    return any(its.dim() > 1 for its in layer.parameters(recurse=False))
