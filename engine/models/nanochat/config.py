"""The `model_config` of nanochat's checkpoints."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from itertools import cycle, islice
from typing import Any, ClassVar, Self

from engine.errors import ModelError
from engine.invariance import round_up

SMEAR_CHANNELS = 24
"""Of a token's embedding, those by which the smear's gate opens."""
_WINDOW_MULTIPLE = 128
_MOST = 2**22  # of anything in a config: more is a broken file, not a model


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GPTConfig:
    """Under nanochat's own field names."""

    version: ClassVar[str] = "nanochat of 2025"

    sequence_len: int
    vocab_size: int
    n_layer: int
    n_head: int
    n_kv_head: int
    n_embd: int

    @property
    def head_dim(self) -> int:
        return self.n_embd // self.n_head

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        """Check a parsed `model_config`. Raises ModelError naming the first field that is off."""
        names = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(fields.keys() - names):
            raise ModelError(
                f"model_config has fields this architecture lacks: {', '.join(unknown)}"
            )
        if missing := sorted(names - fields.keys()):
            raise ModelError(f"model_config lacks {', '.join(missing)}")
        for name in sorted(field.name for field in dataclasses.fields(GPTConfig)):
            value = fields[name]
            if type(value) is not int or not 1 <= value <= _MOST:
                raise ModelError(
                    f"model_config.{name} must be an integer from 1 to {_MOST}, not {value!r}"
                )
        config = cls(**fields)
        config.check()
        return config

    def check(self) -> None:
        """Raise ModelError where the fields do not fit each other."""
        if self.n_embd % self.n_head or self.n_head % self.n_kv_head:
            raise ModelError("model_config: n_head must divide n_embd, and n_kv_head n_head")
        if self.head_dim % 2:
            raise ModelError("model_config: the head width n_embd / n_head must be even")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GPT2026Config(GPTConfig):
    version: ClassVar[str] = "nanochat since March 2026"

    window_pattern: str
    """A letter per layer, repeated as needed: L sees all tokens, S a window of about a quarter of
    `sequence_len`. The last layer sees all, whatever its letter."""

    def check(self) -> None:
        GPTConfig.check(self)
        pattern = self.window_pattern
        if not isinstance(pattern, str) or not pattern or set(pattern.upper()) - {"S", "L"}:
            raise ModelError(
                f"model_config.window_pattern must be letters S and L, not {pattern!r}"
            )
        if self.n_embd < SMEAR_CHANNELS:
            raise ModelError(f"model_config: n_embd must be at least {SMEAR_CHANNELS}")

    @property
    def windows(self) -> tuple[int | None, ...]:
        """Of each layer; None sees all that fits the context."""
        before = round_up(round_up(self.sequence_len, 4) // 4, _WINDOW_MULTIPLE)
        short = before + 1 if before + 1 < self.sequence_len else None
        letters = islice(cycle(self.window_pattern.upper()), self.n_layer - 1)
        return (*(short if letter == "S" else None for letter in letters), None)


def read_config(fields: Mapping[str, Any]) -> GPTConfig:
    """That of the version whose fields these are, checked. Raises ModelError."""
    version = GPT2026Config if "window_pattern" in fields else GPTConfig
    return version.from_json(fields)
