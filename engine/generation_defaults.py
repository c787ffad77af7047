"""GenerationDefaults: what a model brings for parameters that a request leaves open."""

from __future__ import annotations

import dataclasses

from engine.sampling_params import SamplingParams


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GenerationDefaults:
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float = 1.0

    def fill(self, params: SamplingParams) -> SamplingParams:
        """The parameters with these in the place of None."""
        filled = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if getattr(params, field.name) is None
        }
        return dataclasses.replace(params, **filled)
