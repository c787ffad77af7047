"""Which errors say that memory could not be had, on a device or on the host."""

from __future__ import annotations

import torch

_PHRASES = (
    "can't allocate memory",  # torch's allocator on a CPU: "DefaultCPUAllocator: can't ..."
    "not enough memory",  # the same on other systems
    "out of memory",  # a device's driver, where it is not torch's allocator that asks
    "std::bad_alloc",  # torch's C++ by itself
    "CUBLAS_STATUS_ALLOC_FAILED",
)
"""Of RuntimeErrors: torch has no type of its own for most of these."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether it is a failure to allocate, after which the same with less memory may go well."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(its in str(error) for its in _PHRASES)
