"""nanochat's GPT as it was in 2025 and as it is since March 2026, told apart by their configs."""

from engine.models.nanochat.config import GPT2026Config, GPTConfig, read_config
from engine.models.nanochat.gpt_2025 import GPT
from engine.models.nanochat.gpt_2026 import GPT2026

__all__ = ["GPT", "GPT2026", "GPT2026Config", "GPTConfig", "model_of", "read_config"]


def model_of(config: GPTConfig) -> GPT | GPT2026:
    """A model of the config's version, with any weights."""
    return GPT2026(config) if isinstance(config, GPT2026Config) else GPT(config)
