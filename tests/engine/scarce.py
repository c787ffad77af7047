"""A model that runs out of memory when it is told to, over a real one of either interface."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

OUT_OF_MEMORY: dict[str, Exception] = {
    "a device": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
    "the host": RuntimeError(
        "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: "
        "you tried to allocate 281474976710656 bytes. Error code 12 (Cannot allocate memory)"
    ),
    "Python": MemoryError(),
}


class Scarce:
    """Raises after its forward, when caches were written and nothing was noted of it."""

    def __init__(self, model: Any, error: Exception = OUT_OF_MEMORY["a device"]) -> None:
        self.model = model
        self._error = error
        self.num_calls = 0
        self.is_short: Callable[[int], bool] = lambda num_tokens: False
        """Whether memory runs out in a forward of so many tokens."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def __call__(self, tokens_T: Tensor, *others: Any) -> Tensor:
        return self._checked(self.model(tokens_T, *others), tokens_T)

    def forward(self, ids: Tensor, kv_cache: Any = None) -> Tensor:
        return self._checked(self.model.forward(ids, kv_cache), ids)

    def fail_at(self, *calls: int) -> None:
        """Run out at these calls, counted from now."""
        wanted = {self.num_calls + call for call in calls}
        self.is_short = lambda num_tokens: self.num_calls in wanted

    def _checked(self, logits: Tensor, tokens: Tensor) -> Tensor:
        is_short = self.is_short(tokens.numel())
        self.num_calls += 1
        if is_short:
            raise type(self._error)(*self._error.args)
        return logits
