"""What a config tells that the engine does not run; what it does not tell, the load check finds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from engine.errors import ModelError

_LAYER_TYPES = frozenset({"full_attention", "sliding_attention"})
_MEASURED_BY_BATCH = frozenset({"dynamic", "longrope"})
"""Rotary frequencies that change once some position in the batch is beyond the original length."""


def check_config(config: Any) -> None:
    """Raise ModelError for a transformers config of a model that the engine does not run."""
    if getattr(config, "is_encoder_decoder", False):
        raise ModelError("has an encoder and a decoder: only decoders are run")
    if getattr(config, "quantization_config", None) is not None:
        raise ModelError("is quantized: only float32, bfloat16 and float16 weights are run")
    text = config.get_text_config(decoder=True)
    unknown = sorted(set(getattr(text, "layer_types", None) or ()) - _LAYER_TYPES)
    if unknown:
        raise ModelError(
            f"has layers of {', '.join(unknown)}: only full and sliding attention are run"
        )
    if getattr(text, "alibi", False):
        raise ModelError("adds biases to its attention scores (alibi), which are not run")


def max_seq_len(config: Any) -> int:
    """The longest sequence for which a row's bits depend on that row alone."""
    text = config.get_text_config(decoder=True)
    longest = getattr(text, "max_position_embeddings", None)
    if type(longest) is not int or longest < 1:
        raise ModelError(f"its config has no max_position_embeddings, but {longest!r}")
    limits = [longest]
    for rope in _ropes(getattr(text, "rope_parameters", None)):
        if rope.get("rope_type") in _MEASURED_BY_BATCH:
            original = rope.get("original_max_position_embeddings") or longest
            limits.append(int(original))
    return min(limits)


def _ropes(parameters: Any) -> Iterator[Mapping[str, Any]]:
    """A model's rotary parameters: one set, or one for each type of layer."""
    if not isinstance(parameters, Mapping):
        return
    if "rope_type" in parameters:
        yield parameters
    yield from (its for its in parameters.values() if isinstance(its, Mapping))
