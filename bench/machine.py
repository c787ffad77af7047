"""What the figures were measured on."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import platform
from pathlib import Path

import torch


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    device: str
    """The name of the CPU or the GPU."""
    threads: int
    torch_version: str
    transformers_version: str | None
    """None where it is not installed."""
    dtype: str

    @classmethod
    def this(cls, device: torch.device, dtype: str) -> Machine:
        is_cuda = device.type == "cuda"
        return cls(
            device=torch.cuda.get_device_name(device) if is_cuda else cpu_name(),
            threads=torch.get_num_threads(),
            torch_version=torch.__version__,
            transformers_version=_version("transformers"),
            dtype=dtype,
        )

    def __str__(self) -> str:
        libraries = [f"torch {self.torch_version}"]
        if self.transformers_version is not None:
            libraries.append(f"transformers {self.transformers_version}")
        return ", ".join([self.device, f"{self.threads} threads", *libraries, self.dtype])


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def cpu_name() -> str:
    """What the processor calls itself."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())
