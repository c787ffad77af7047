"""The size of this process, in bytes: on a GPU, of what torch has allocated there."""

from __future__ import annotations

import resource
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:  # processes without torch are measured, too
    import torch


def size(device: torch.device) -> int:
    """Now."""
    if device.type == "cuda":
        import torch

        return int(torch.cuda.memory_allocated(device))
    return int(psutil.Process().memory_info().rss)


def peak_size(device: torch.device) -> int:
    """At its largest so far."""
    if device.type == "cuda":
        import torch

        return int(torch.cuda.max_memory_allocated(device))
    return peak_resident()


def peak_resident() -> int:
    """At its largest so far, what the kernel counts as resident."""
    # Not getrusage where there is another way: on Linux its peak includes that of the process
    # which started this one.
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
