"""Rowmill's engine: continuous batching whose rows do not depend on what shares the batch."""

import engine.environment  # noqa: F401, I001  (before anything that imports torch)

from engine.config import EngineConfig
from engine.engine import Engine
from engine.errors import EngineError, ModelError, RequestError, SchedulingError
from engine.kv_cache import KVCache
from engine.provenance import Provenance
from engine.request import (
    Request,
    RequestResult,
    RequestTimes,
    RowDelta,
    RowResult,
)
from engine.sampling_params import SamplingParams
from engine.stats import EngineStats

__all__ = [
    "Engine",
    "EngineConfig",
    "EngineError",
    "EngineStats",
    "KVCache",
    "ModelError",
    "Provenance",
    "Request",
    "RequestError",
    "RequestResult",
    "RequestTimes",
    "RowDelta",
    "RowResult",
    "SamplingParams",
    "SchedulingError",
]
