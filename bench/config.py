"""What a bench is asked to do."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch

from bench.errors import BenchConfigError
from bench.names import PEERS, TRANSFORMERS, WORKLOADS

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BenchConfig:
    """Raises BenchConfigError naming the first bad field."""

    workloads: tuple[str, ...] = WORKLOADS
    peers: tuple[str, ...] = PEERS
    repeats: int = 5
    peer_repeats: int = 3
    """Repeats of transformers' peers: they are slow, and some workloads take them minutes."""
    device: str = "cpu"
    dtype: str = "float32"
    num_threads: int | None = None
    """CPU threads; None: torch's choice."""
    is_quick: bool = False
    """A smoke test: a toy of a model and a handful of tokens. The figures mean nothing."""
    has_growth: bool = True
    """Whether the time per row is measured at growing sizes too."""
    has_policy_cost: bool = True
    """Whether the cost of reproducibility is measured too."""
    has_controls: bool = True
    """Whether the time per step is measured with sampling controls too."""
    has_prefixes: bool = True
    """Whether the prefix cache is measured too."""
    has_memory: bool = True
    """Whether memory is measured too."""

    def __post_init__(self) -> None:
        _check_names("workloads", self.workloads, WORKLOADS)
        _check_names("peers", self.peers, PEERS)
        if self.dtype not in _DTYPES:
            raise BenchConfigError(
                f"dtype: must be one of {', '.join(_DTYPES)}, not {self.dtype!r}"
            )
        if self.device not in ("cpu", "cuda"):
            raise BenchConfigError(f"device: must be cpu or cuda, not {self.device!r}")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise BenchConfigError("device: cuda is asked for, and torch sees no CUDA device here")
        for name in ("repeats", "peer_repeats"):
            if getattr(self, name) < 1:
                raise BenchConfigError(f"{name} must be at least 1, not {getattr(self, name)}")

    @property
    def torch_dtype(self) -> torch.dtype:
        return _DTYPES[self.dtype]

    def use_threads(self) -> None:
        """Give torch the CPU threads that were asked for."""
        if self.num_threads is not None:
            torch.set_num_threads(self.num_threads)

    def repeats_of(self, peer: str) -> int:
        return self.peer_repeats if peer in TRANSFORMERS else self.repeats


def _check_names(field: str, names: Sequence[str], known: Sequence[str]) -> None:
    if unknown := [name for name in names if name not in known]:
        raise BenchConfigError(f"{field}: {unknown[0]!r} is unknown; there are {', '.join(known)}")
    if not names:
        raise BenchConfigError(f"{field}: name at least one of {', '.join(known)}")
