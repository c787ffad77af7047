"""LoadMeter: what it takes to load a model, told as a line of the log."""

from __future__ import annotations

import logging
import resource
import sys
import time
from pathlib import Path

from torch import nn

from engine.models.placement import dtypes_of

log = logging.getLogger("rowmill.engine")


class LoadMeter:
    """Measures from when it is made."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._peak_bytes = _peak_bytes()

    def report(self, folder: Path, architecture: str, model: nn.Module, also: str = "") -> None:
        """Log the model's size, and by how much the seconds and the memory's peak have grown."""
        log.info(
            "%s: %s, %.3g million parameters in %s, loaded in %.1f s and %d MiB%s",
            folder,
            architecture,
            sum(its.numel() for its in model.parameters()) / 10**6,
            dtypes_of(model)[0],
            time.monotonic() - self._started,
            (_peak_bytes() - self._peak_bytes) // 2**20,
            also,
        )


def _peak_bytes() -> int:
    """The most memory that this process has held."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
