"""Provenance: what has to be the same for a job's rows to come out the same again."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Text = Annotated[str, Field(strict=True, min_length=1, max_length=256)]
Name = Annotated[str, Field(strict=True, pattern=r"^[a-z][a-z0-9_-]{0,31}$")]


class Provenance(BaseModel):
    """As the worker's engine records it.

    `reproducible`: whether its start-up probe found that a row does not depend on what shares the
    batch. `model`: SHA-256 of configuration and weights, `dtype`: of the weights; None where a
    worker could not see them. `device`: the processor's or graphics card's name. `kernels`: what
    computed, "torch" or a build of the native kernels and its compiler, such as "native-v4 GCC
    12.2.0". `policy`: what was done for equal bits, such as "none" or "mkl-strict+tile-16".
    `sampler`: version of its specification. `versions`: of rowmill, torch, numpy and, on its
    devices, cuda.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    reproducible: Annotated[bool, Field(strict=True)]
    model: Annotated[str, Field(strict=True, pattern=r"^[0-9a-f]{64}$")] | None
    dtype: Text | None
    device: Text
    kernels: Text
    policy: Text
    sampler: Annotated[int, Field(strict=True, ge=1, le=2**31 - 1)]
    versions: Annotated[dict[Name, Text], Field(max_length=16)]

    def __hash__(self) -> int:
        return hash((self.model, self.device, self.policy))
