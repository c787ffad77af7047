"""The native kernels for tests of them, which skip where they were not built."""

from __future__ import annotations

import pytest
import torch

from engine.native import Library, kernels_for

needs_kernels = pytest.mark.skipif(
    kernels_for(torch.empty(0)) is None, reason="the CPU kernels were not built, or not wanted"
)


def kernels() -> Library:
    found = kernels_for(torch.empty(0))
    assert found is not None
    return found
