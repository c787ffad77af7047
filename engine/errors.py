"""What the engine raises.

EngineError
├── RequestError     a request that this engine can't run; names the field and the limit
├── SchedulingError  a call that does not fit: a request ID in use, an engine that has failed
└── ModelError       a checkpoint or tokenizer that is missing, broken or of another architecture
"""

from __future__ import annotations


class EngineError(Exception):
    """Base of everything that the engine raises on purpose."""


class RequestError(EngineError, ValueError):
    """A request that this engine can't run.

    `field` is the parameter at fault; the message names it, its value and the limit.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.reason = message

    def __reduce__(self) -> tuple[type[RequestError], tuple[str, str]]:
        return type(self), (self.field, self.reason)


class SchedulingError(EngineError, RuntimeError):
    """A call that does not fit the engine's present state."""


class ModelError(EngineError):
    """A checkpoint or tokenizer that can't be loaded."""
