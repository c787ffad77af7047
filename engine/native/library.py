"""Finds the built kernels and declares their functions."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from engine.environment import KERNELS
from engine.errors import EngineError

HOW_TO_BUILD = (
    "the CPU kernels were not built: install Rowmill again where there is GCC 12 or newer, or Clang"
)

_INTERFACE = 1
"""As cpu.cpp tells it."""
_P, _N, _T = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32  # address, count, threads

# As declared in the C++ files.
_FUNCTIONS: dict[str, list[type]] = {
    "attend": [_P, _P, _N, _P, _N, _P, _P, _P, _P, _N, _T],
    "norm": [_P, _P, _N, _N, _T],
    "add_norm": [_P, _P, _P, _N, _N, _T],
    "rotate_norm": [_P, _N, _P, _P, _P, _N, _N, _N, _T],
    "relu_square": [_P, _N, _N, _T],
    "product": [_P, _P, _P, _N, _N, _N, _T],
    "draw": [_P, _P, _P, _P, _N, _N, _T],
    "keep_top_k": [_P, _P, _P, _N, _N, _T],
    "keep_top_p": [_P, _P, _N, _N, _T],
    "top_tokens": [_P, _P, _N, _N, _N, _T],
}
_ALLOCATING = frozenset(["attend", "draw", "keep_top_k", "keep_top_p"])
"""They need memory for a while, and return 1 where there is none. The others allocate nothing."""


class Library:
    """The kernels as functions of addresses and counts; the C++ files say what each takes.

    They raise MemoryError where there is no memory for their own buffers.
    """

    def __init__(self, path: str) -> None:
        # After torch, whose OpenMP it then shares: one pool of threads, and no two that compete.
        loaded = ctypes.CDLL(path)
        if not hasattr(loaded, "rowmill_interface") or loaded.rowmill_interface() != _INTERFACE:
            raise OSError(f"{path} was built from other sources; install Rowmill again")
        for name, arguments in _FUNCTIONS.items():
            function = loaded[f"rowmill_{name}"]
            function.argtypes, function.restype = arguments, None
            if name in _ALLOCATING:
                function.restype, function.errcheck = _T, _raise_where_short
            setattr(self, name, function)
        loaded.rowmill_build.restype = ctypes.c_char_p
        self.build: str = loaded.rowmill_build().decode("ascii", "replace")
        """For which CPUs, and by which compiler: other builds may give other last bits."""
        loaded.rowmill_panel.restype = _N
        self.panel: int = loaded.rowmill_panel()
        """Outputs per panel of `product`'s weights."""

    attend: Callable[..., None]
    norm: Callable[..., None]
    add_norm: Callable[..., None]
    rotate_norm: Callable[..., None]
    relu_square: Callable[..., None]
    product: Callable[..., None]
    draw: Callable[..., None]
    keep_top_k: Callable[..., None]
    keep_top_p: Callable[..., None]
    top_tokens: Callable[..., None]


def _raise_where_short(is_out_of_memory: Any, function: Any, arguments: Any) -> Any:
    """What ctypes calls with a kernel's answer."""
    if is_out_of_memory:
        raise MemoryError(f"no memory for the buffers of {function.__name__}")


@functools.cache
def library() -> Library | None:
    """The kernels; None where they were not built, or where ROWMILL_KERNELS asks for torch's way.

    Raises EngineError where it asks for kernels that are not there, or for something else; and
    where they can't be loaded: were torch to serve then, rows would be others without a reason.
    """
    if KERNELS not in ("", "native", "torch"):
        raise EngineError(f"ROWMILL_KERNELS must be native or torch, not {KERNELS[:64]!r}")
    if KERNELS == "torch":
        return None
    if KERNELS == "native" and are_missing():
        raise EngineError(f"ROWMILL_KERNELS is native, but {HOW_TO_BUILD}")
    try:
        path = _best_build()
        return None if path is None else Library(path)
    except OSError as error:
        raise EngineError(
            f"the CPU kernels can't be loaded: {error}; ROWMILL_KERNELS=torch does without them"
        ) from error


def are_missing() -> bool:
    """Whether torch serves only because there was nothing better."""
    return KERNELS != "torch" and _path_of("_kernels") is None


def _best_build() -> str | None:
    """The fastest of those that this CPU runs."""
    path = _path_of("_kernels")
    if path is None:
        return None
    level = ctypes.CDLL(path).rowmill_cpu_level()
    better = [_path_of(f"_kernels_v{n}") for n in (4, 3) if n <= level]
    return next((build for build in better if build is not None), path)


def _path_of(build: str) -> str | None:
    spec = find_spec(f"engine.native.{build}")
    return None if spec is None else spec.origin


def kernels_for(tensor: Tensor) -> Library | None:
    """The kernels, where they are built and take a tensor like this one."""
    is_ours = tensor.dtype == torch.float32 and tensor.device.type == "cpu"
    return library() if is_ours else None
