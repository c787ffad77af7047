"""The model card of a worker: what it tells producers."""

from __future__ import annotations

from pathlib import Path

from engine import Engine
from jobs import ModelCard


def card_of(engine: Engine, model: str) -> ModelCard:
    """`model`: the folder or the name that the worker was given."""
    shape, config, provenance = engine.shape, engine.config, engine.provenance
    return ModelCard(
        model=provenance.model,
        name=Path(model).name or None,
        context_length=shape.max_seq_len,
        vocab_size=shape.vocab_size,
        max_rows=config.max_rows,
        max_num_samples=config.max_num_samples,
        max_new_tokens=config.max_new_tokens,
        reproducible=provenance.reproducible,
    )
