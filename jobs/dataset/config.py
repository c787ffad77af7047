"""SamplingConfig: all that decides which rows a run makes, and how its files look."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from jobs.dataset.inputs import ID_COLUMN
from jobs.dataset.part import Columns
from jobs.dataset.selection import Selection, Shard
from jobs.errors import InvalidJobError, brief
from jobs.generate_job import GenerateJob

_PARAMETERS = (
    "num_samples",
    "max_tokens",
    "temperature",
    "top_k",
    "top_p",
    "min_p",
    "logprobs",
)


class SamplingConfig(BaseModel):
    """The same configuration, files and model give the same bytes.

    The first fields are those of a GenerateJob, for inputs that do not say otherwise. `seed`: of
    the run, from which each input's is derived. `prompt_column`: where a line's prompt is; None:
    in the one of prompt_tokens, prompt and messages that it has. `chat`: a text is the user's
    message to an assistant. `limit`, `shard` ("i/n"): which inputs. `inputs_per_part`: the range
    of inputs that a part holds. `logprobs`, `text`, `prompts`: optional columns of the parts.

    Raises InvalidJobError for a bad value.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    num_samples: int = 1
    max_tokens: int | None = None
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    seed: int = 0
    prompt_column: str | None = Field(default=None, min_length=1, description="None or a name")
    id_column: str = Field(default=ID_COLUMN, min_length=1, description="a name")
    chat: bool = Field(default=False, description="true or false")
    limit: int | None = Field(default=None, ge=1, description="None or an integer from 1")
    shard: str | None = Field(default=None, description="None or i/n")
    inputs_per_part: int = Field(
        default=1000, ge=1, le=10**6, description="an integer from 1 to 1000000"
    )
    logprobs: bool = False
    text: bool = Field(default=False, description="true or false")
    prompts: bool = Field(default=False, description="true or false")

    @classmethod
    def parse(cls, fields: dict[str, Any]) -> Self:
        given = {name: fields[name] for name in (*_PARAMETERS, "seed") if name in fields}
        GenerateJob(prompt_tokens=(0,), **given)
        try:
            config = cls(**fields)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            name = str(first["loc"][0])
            field = cls.model_fields.get(name)
            if field is None:
                limit = f"one of {', '.join(cls.model_fields)}"
                raise InvalidJobError(name, "this field", limit) from error
            limit = str(field.description)
            raise InvalidJobError(name, brief(first["input"]), limit) from error
        if config.shard is None:
            return config
        return config.model_copy(update={"shard": str(Shard.parse(config.shard))})

    @property
    def parameters(self) -> dict[str, Any]:
        """Fields of a GenerateJob for inputs that do not say otherwise."""
        return {name: getattr(self, name) for name in _PARAMETERS}

    @property
    def selection(self) -> Selection:
        shard = None if self.shard is None else Shard.parse(self.shard)
        return Selection(limit=self.limit, shard=shard)

    @property
    def columns(self) -> Columns:
        return Columns(logprobs=self.logprobs, text=self.text, prompts=self.prompts)
