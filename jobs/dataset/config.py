"""SamplingConfig: all that decides which rows a run makes, and how its files look."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, ValidationError

from jobs.dataset.inputs import ID_COLUMN
from jobs.dataset.part import Columns
from jobs.dataset.selection import Selection, Shard
from jobs.field_limits import explained, flag, integer
from jobs.generate_job import MAX_NUM_SAMPLES, UINT64_MAX
from jobs.sampling_fields import SamplingFields


class SamplingConfig(SamplingFields):
    """The same configuration, files and model give the same bytes.

    `num_samples` and the fields of sampling are those of a GenerateJob, for inputs that do not say
    otherwise. `seed`: of the run, from which each input's is derived. `prompt_column`: where a
    line's prompt is; None: in the one of prompt_tokens, prompt and messages that it has. `chat`: a
    text is the user's message to an assistant. `limit`, `shard` ("i/n"): which inputs.
    `inputs_per_part`: the range of inputs that a part holds. `logprobs`, `top_logprobs`,
    `return_prompt_logprobs`, `text`, `prompts`: optional columns of the parts.

    Raises InvalidJobError for a bad value.
    """

    num_samples: int = integer(1, 1, MAX_NUM_SAMPLES)
    seed: int = integer(0, 0, UINT64_MAX)
    prompt_column: str | None = Field(default=None, min_length=1, description="None or a name")
    id_column: str = Field(default=ID_COLUMN, min_length=1, description="a name")
    chat: bool = flag()
    limit: int | None = Field(default=None, ge=1, description="None or an integer from 1")
    shard: str | None = Field(default=None, description="None or i/n")
    inputs_per_part: int = integer(1000, 1, 10**6)
    text: bool = flag()
    prompts: bool = flag()

    @classmethod
    def parse(cls, fields: dict[str, Any]) -> Self:
        try:
            config = cls(**fields)
        except ValidationError as error:
            raise explained(cls, error) from error
        if config.shard is None:
            return config
        return config.model_copy(update={"shard": str(Shard.parse(config.shard))})

    @property
    def parameters(self) -> dict[str, Any]:
        """Fields of a GenerateJob for inputs that do not say otherwise, without its defaults."""
        names = {"num_samples", *SamplingFields.model_fields}
        return {name: value for name, value in self.fields().items() if name in names}

    @property
    def selection(self) -> Selection:
        shard = None if self.shard is None else Shard.parse(self.shard)
        return Selection(limit=self.limit, shard=shard)

    @property
    def columns(self) -> Columns:
        return Columns(
            logprobs=self.logprobs,
            top_logprobs=self.top_logprobs > 0,
            text=self.text,
            prompts=self.prompts,
            prompt_logprobs=self.return_prompt_logprobs,
        )
