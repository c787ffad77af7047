"""Hugging Face checkpoints, run by transformers with the engine's attention in its place."""

from engine.models.hf.folder import is_checkpoint
from engine.models.hf.load import load_checkpoint
from engine.models.hf.model import TransformersModel

__all__ = ["TransformersModel", "is_checkpoint", "load_checkpoint"]
