"""The load check: a model packed our way against itself with transformers' own eager attention.

Two sequences of random tokens, of unlike lengths, run one by one in eager attention, and then
packed into one batch through the engine's attention function. A forward that mixes positions by
other means (convolutions, recurrent states, masks of its own) gives other logits, or none.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from engine.errors import ModelError
from engine.models.hf.attention import NAME, switch_attention
from engine.models.hf.model import packed_logits
from engine.models.hf.recording import Call, RecordedCalls

_LENGTHS = (24, 13)
_LONGEST = 72
"""Of a sequence that reaches beyond a layer's window."""
_TOLERANCES = {torch.float64: 1e-6, torch.float32: 1e-4, torch.float16: 0.02, torch.bfloat16: 0.12}
"""Most that a logit may be off, as a share of the largest."""


@dataclasses.dataclass(frozen=True, slots=True)
class Reference:
    """Sequences, and the logits that a model's eager attention gives their tokens."""

    sequences: tuple[Tensor, ...]
    logits_TV: Tensor


@torch.inference_mode()
def reference_logits(model: Any, config: Any, device: torch.device, longest: int) -> Reference:
    """Of a model as transformers loaded it, with eager attention.

    Raises ModelError where they are not finite: as rows, they could only end with an error.
    """
    text = config.get_text_config(decoder=True)
    generator = torch.Generator().manual_seed(0)
    first = _LENGTHS[0]
    window = getattr(text, "sliding_window", None)
    if type(window) is int and window < _LONGEST:
        first = max(first, window + 8)
    lengths = [min(length, longest) for length in (first, _LENGTHS[1])]
    sequences = tuple(
        torch.randint(text.vocab_size, (length,), generator=generator).to(device)
        for length in lengths
    )
    logits = [
        model(input_ids=its.unsqueeze(0), use_cache=False).logits[0].float() for its in sequences
    ]
    logits_TV = torch.cat(logits)
    if not logits_TV.isfinite().all():
        raise ModelError(
            f"gives logits that are no numbers in {model.dtype}: its weights are damaged, or need "
            "a wider dtype"
        )
    return Reference(sequences, logits_TV)


@torch.inference_mode()
def checked_calls(model: Any, reference: Reference) -> tuple[list[Call], float]:
    """A packed forward's attention calls, and by how much its logits are off, as a share.

    Raises ModelError where they are off by more than rounding, and where the model asks attention
    for what the engine does not do.
    """
    switch_attention(model, NAME)
    tokens_T = torch.cat(reference.sequences)
    positions_T = torch.cat(
        [torch.arange(len(its), device=its.device) for its in reference.sequences]
    )
    calls = RecordedCalls(tuple(map(len, reference.sequences)), tokens_T.device)
    # The last token first: which logits are wanted has to matter to the model.
    wanted_T = torch.arange(len(tokens_T), device=tokens_T.device).flip(0)
    logits_TV = packed_logits(model, tokens_T, positions_T, calls, wanted_T).flip(0)
    text = model.config.get_text_config(decoder=True)
    check_layers(calls.calls, text.num_hidden_layers)
    check_windows(calls.calls, text)
    expected_TV = reference.logits_TV
    if logits_TV.shape != expected_TV.shape:
        raise ModelError("its forward does not take which tokens' logits are wanted")
    scale = expected_TV.abs().max().item() or 1.0
    error = (logits_TV - expected_TV).abs().max().item() / scale
    if not error <= _TOLERANCES.get(calls.calls[0].dtype, 0.0):
        raise ModelError(
            f"gives other logits when sequences share a batch, by {error:.2g} of the largest: its "
            "forward is not one that looks at other tokens through attention alone"
        )
    return calls.calls, error


def check_layers(calls: Sequence[Call], num_layers: int) -> None:
    """Raise ModelError unless each layer has attended once, all alike but for their rules."""
    modules = {id(call.module) for call in calls}
    if len(calls) != num_layers or len(modules) != num_layers:
        raise ModelError(
            f"called attention {len(calls)} times, from {len(modules)} places, in {num_layers} "
            "layers: exactly one call per layer is run"
        )
    forms = {
        (its.num_heads, its.num_kv_heads, its.key_dim, its.value_dim, its.dtype) for its in calls
    }
    if len(forms) > 1:
        raise ModelError("has layers whose heads differ in number or width")


def check_windows(calls: Sequence[Call], text: Any) -> None:
    """Raise ModelError unless layers are told the windows that their config names.

    The load check's sequences are shorter than most windows, and so show nothing of them. Even
    where an architecture knows no windows, transformers' caches obey such a config, and its
    forward does not: nobody can say then which of the two the model is.
    """
    window = getattr(text, "sliding_window", None)
    if types := getattr(text, "layer_types", None):
        expected = [window if its == "sliding_attention" else None for its in types]
    elif window is not None and getattr(text, "use_sliding_window", True):
        expected = [window] * len(calls)
    else:
        return
    if [call.rule.window for call in calls] != expected[: len(calls)]:
        raise ModelError("does not tell its attention the windows that its config names")
