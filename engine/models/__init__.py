"""The models that the engine runs packed, and how they are loaded."""

from engine.models.load import DEMO, demo_prompt, load_model
from engine.models.packed import ModelShape, PackedModel

__all__ = ["DEMO", "ModelShape", "PackedModel", "demo_prompt", "load_model"]
