"""How MKL, the library of matrix products on x86, was told to round."""

from __future__ import annotations

import ctypes
from pathlib import Path

import torch

from engine.environment import MKL_CBWR

_STRICT = 0x10000
_ALL = -1
# MKL's documented mkl_cbwr_get, under the name by which torch's Linux builds export it.
_LIBRARY, _FUNCTION = "libtorch_cpu.so", "mkl_serv_cbwr_get"


def _is_there() -> bool:
    return bool(torch.backends.mkl.is_available())  # type: ignore[no-untyped-call]


def is_strict() -> bool:
    """Whether MKL is in its strict mode: a row of a product then should not depend on the others.

    MKL itself is asked, as the variable says nothing where a product ran before it was set. Where
    MKL can't be asked, the variable is believed.
    """
    if not _is_there():
        return False
    try:
        library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / _LIBRARY))
        mode = int(library[_FUNCTION](_ALL))
    except (OSError, AttributeError):
        return MKL_CBWR.upper().endswith(",STRICT")
    return mode > 0 and bool(mode & _STRICT)


def code_branch() -> str:
    """The instructions that MKL was told to use, as in MKL_CBWR: AUTO, AVX2 and so on.

    AUTO, too, where there is no MKL.
    """
    if not _is_there():
        return "AUTO"
    branch = MKL_CBWR.upper().partition(",")[0]
    return branch if branch.isidentifier() and len(branch) <= 16 else "AUTO"
