"""Asked: what a request comes to."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from gateway.errors import ApiError, api_error
from jobs import GenerateJob, JobsError
from vocab import Tokenizer
from vocab.token_name import TokenNames


class Served:
    """The model that a gateway serves, as far as text is concerned. One for all requests."""

    def __init__(self, model: str, tokenizer: Tokenizer | None) -> None:
        self.model = model
        self.tokenizer = tokenizer
        """None: prompts are token IDs, and rows too."""
        self.names = TokenNames(tokenizer)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The jobs of a request, one for each prompt, and how their rows are to be told.

    The choices are those of the first prompt, then those of the second, and so on. `names`: what
    the request calls a job's fields. `echoes`: where the prompts are to be repeated, their texts.
    """

    model: str
    jobs: tuple[GenerateJob, ...]
    names: Mapping[str, str]
    seed: int
    num_choices: int
    is_stream: bool = False
    has_usage_chunk: bool = False
    has_token_ids: bool = False
    echoes: tuple[str, ...] | None = None

    @property
    def num_prompt_tokens(self) -> int:
        return sum(len(job.prompt_tokens) for job in self.jobs)


def as_asked(error: JobsError, names: Mapping[str, str]) -> ApiError:
    """What the caller is told of an error, by the request's own name for a job's field."""
    told = api_error(error)
    if told.param is not None and told.param in names:
        told.message = names[told.param] + told.message.removeprefix(told.param)
        told.param = names[told.param]
    return told
