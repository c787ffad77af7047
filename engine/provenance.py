"""Provenance: what has to be the same for rows to come out the same again."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from engine.fingerprint import fingerprint
from engine.models.placement import device_of, dtypes_of
from engine.native import kernels_for

if TYPE_CHECKING:
    from engine.probe import Verdict

SAMPLER_VERSION = 1
"""Of docs/sampler.md."""

_CPU_INFO = Path("/proc/cpuinfo")
_MOST_LETTERS = 128


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What an engine records of itself in every result; docs/reproducibility.md tells its use."""

    reproducible: bool
    """Whether the start-up probe found that a row does not depend on what shares the batch."""
    model: str | None
    """Its fingerprint; None where it is no nn.Module, whose weights could be read."""
    dtype: str | None
    """Of the parameters, such as "float32"; None where they can't be seen."""
    device: str
    """The processor's or the graphics card's name."""
    kernels: str
    """What computed products, attention and what lies between: "torch", or a build of the native
    kernels and its compiler, such as "native-v4 GCC 12.2.0". Their last bits may differ."""
    policy: str
    """What was done for equal bits, such as "mkl-strict+tile-16"."""
    sampler: int
    """Version of the sampler's specification."""
    versions: Mapping[str, str]
    """Of rowmill, torch, numpy and, where they ran, cuda and transformers."""

    @classmethod
    def of(cls, model: Any, verdict: Verdict) -> Provenance:
        """Of rows that `model` will give. Reads all its weights."""
        device, dtypes = device_of(model), dtypes_of(model)
        names = [str(dtype).removeprefix("torch.") for dtype in dtypes]
        like = torch.empty(0, dtype=next(iter(dtypes), torch.float32), device=device)
        kernels = kernels_for(like)
        return cls(
            reproducible=verdict.is_invariant,
            model=fingerprint(model) if isinstance(model, nn.Module) else None,
            dtype="+".join(names) or None,
            device=_device_name(device)[:_MOST_LETTERS],
            kernels="torch" if kernels is None else f"native-{kernels.build}"[:_MOST_LETTERS],
            policy=verdict.policy.name,
            sampler=SAMPLER_VERSION,
            versions=_versions(device) | getattr(model, "versions", {}),
        )


def _versions(device: torch.device) -> dict[str, str]:
    try:
        rowmill = importlib.metadata.version("rowmill")
    except importlib.metadata.PackageNotFoundError:  # run from its folder, not installed
        rowmill = "unknown"
    versions = {"rowmill": rowmill, "torch": str(torch.__version__), "numpy": np.__version__}
    if device.type == "cuda":
        versions["cuda"] = str(torch.version.cuda)
    return versions


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return _cpu_name() if device.type == "cpu" else device.type


def _cpu_name() -> str:
    """Clouds hide a processor's name, so its numbers are told too, and which instructions torch
    takes."""
    parts = [platform.machine(), torch.backends.cpu.get_cpu_capability()]
    try:
        lines = _CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return f"{platform.processor()} ({', '.join(parts)})".strip()
    fields = {name.strip(): value.strip() for name, _, value in (s.partition(":") for s in lines)}
    numbers = [
        f"{name.removeprefix('cpu ')} {fields[name]}"
        for name in ("cpu family", "model", "stepping")
        if name in fields
    ]
    return f"{fields.get('model name', '')} ({', '.join(numbers + parts)})".strip()
