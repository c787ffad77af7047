"""SamplingRequest: what requests of both kinds have in common."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema

from gateway.errors import ApiError, api_error
from gateway.openai.asked import Served, as_asked
from gateway.openai.structure import STRUCTURES, structure_of
from jobs import GenerateJob, InvalidJobError
from jobs.dataset.seeds import derive_seed
from jobs.errors import brief
from jobs.field_limits import explained, unknown_field

_SEED_BITS = 53
"""Of a seed that nobody gave: many readers of JSON round larger integers."""
_IGNORED = "Ignored."
_TEXTS: dict[str, Any] = {
    "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]
}


def job_field(name: str, before: str = "") -> Any:
    """A field that may be left out, as the job's of that name."""
    limit = GenerateJob.model_fields[name].description or ""
    return Field(default=None, description=before + limit.removeprefix("None or "))


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


Stop = Annotated[list[str], BeforeValidator(_as_list), WithJsonSchema(_TEXTS)]


class SamplingRequest(BaseModel):
    """The description of a field is what it must be; null is as if it were not there."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    model: str = Field(description="the name of the model that is served, as /v1/models tells it")
    n: int | None = job_field("num_samples")
    seed: int | None = job_field("seed")
    max_tokens: int | None = job_field("max_tokens")
    temperature: float | None = job_field("temperature")
    top_p: float | None = job_field("top_p")
    stop: Stop | None = job_field("stop", "a string, or ")
    presence_penalty: float | None = job_field("presence_penalty")
    frequency_penalty: float | None = job_field("frequency_penalty")
    logit_bias: dict[str, float] | None = job_field("logit_bias")
    response_format: dict[str, Any] | None = Field(
        default=None, description="of type text, json_object, or json_schema with a schema"
    )
    stream: bool | None = Field(default=None, description="true or false")
    stream_options: dict[str, bool] | None = Field(
        default=None, description="an object whose one field is include_usage, true or false"
    )
    user: Any = Field(default=None, description=_IGNORED)
    metadata: Any = Field(default=None, description=_IGNORED)
    store: Any = Field(default=None, description=_IGNORED)
    service_tier: Any = Field(default=None, description=_IGNORED)
    safety_identifier: Any = Field(default=None, description=_IGNORED)
    prompt_cache_key: Any = Field(default=None, description=_IGNORED)
    prompt_cache_retention: Any = Field(default=None, description=_IGNORED)

    top_k: int | None = job_field("top_k")
    min_p: float | None = job_field("min_p")
    min_tokens: int | None = job_field("min_tokens")
    repetition_penalty: float | None = job_field("repetition_penalty")
    stop_token_ids: list[int] | None = job_field("stop_token_ids")
    ignore_eos: bool | None = job_field("ignore_eos")
    bad_words: list[str | list[int]] | None = job_field("bad_words")
    logprobs_mode: str | None = job_field("logprobs_mode")
    structured_outputs: dict[str, Any] | None = Field(
        default=None, description="an object with one of json, regex and grammar"
    )
    json_schema: dict[str, Any] | str | None = job_field("json_schema")
    regex: str | None = job_field("regex")
    grammar: str | None = job_field("grammar")
    return_token_ids: bool | None = Field(
        default=None, description="true or false: whether choices have token_ids and masks"
    )
    deadline_seconds: float | None = job_field("deadline_seconds")

    @classmethod
    def parse(cls, body: object) -> Self:
        """Of JSON that was read. Raises ApiError, which names the first field that is wrong."""
        if not isinstance(body, Mapping):
            raise ApiError(400, f"the body is {brief(body)}, which must be an object")
        for name in body:
            if name not in cls.model_fields:
                raise api_error(unknown_field(cls, name))
        given = {name: value for name, value in body.items() if value is not None}
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            raise api_error(explained(cls, error)) from error

    def check_served(self, served: Served) -> None:
        """Raises ApiError for another model, and for text where the gateway can give none."""
        if self.model != served.model:
            text = f"the model {brief(self.model)} is not served here; {served.model!r} is"
            raise ApiError(404, text, param="model", code="model_not_found")
        if served.tokenizer is None and not self.return_token_ids:
            limit = "true: this gateway has no tokenizer, so rows have no text"
            raise api_error(InvalidJobError("return_token_ids", "leaving it out", limit))

    @property
    def has_usage_chunk(self) -> bool:
        """Raises ApiError for options that are not known, or that nothing is streamed for."""
        options = self.stream_options or {}
        if self.stream_options is not None and not self.stream:
            limit = "left out without stream"
            raise api_error(InvalidJobError("stream_options", brief(options), limit))
        for name in options:
            if name != "include_usage":
                limit = "include_usage alone"
                raise api_error(InvalidJobError("stream_options", brief(name), limit))
        return options.get("include_usage", False)


def jobs_of(
    request: SamplingRequest,
    prompts: list[Any],
    fields: Mapping[str, Any],
    names: Mapping[str, str],
) -> tuple[tuple[GenerateJob, ...], Mapping[str, str], int]:
    """A job for each prompt, what the request calls their fields, and the seed of the first.

    `fields` and `names` are what this kind of request has beside the common ones. The first
    prompt's seed is the request's, or a random one; that of the one with index i is
    `derive_seed(seed, i, None)` of jobs.dataset.seeds. Raises ApiError.
    """
    common, common_names = _common_fields(request)
    fields, names = common | dict(fields), common_names | dict(names)
    seed = secrets.randbits(_SEED_BITS) if request.seed is None else request.seed
    jobs: list[GenerateJob] = []
    for index, prompt in enumerate(prompts):
        its_seed = derive_seed(seed, index, None) if index else seed
        try:
            jobs.append(GenerateJob.parse({**fields, "prompt_tokens": prompt, "seed": its_seed}))
        except InvalidJobError as error:
            raise as_asked(error, names) from error
    return tuple(jobs), names, seed


def _common_fields(request: SamplingRequest) -> tuple[dict[str, Any], dict[str, str]]:
    """Those of a job that are given, and what the request calls them."""
    fields: dict[str, Any] = {"stream": bool(request.stream)}
    names: dict[str, str] = {}
    for field in _SAME:
        value = getattr(request, field)
        if value is not None:
            fields[field], names[field] = value, field
    if request.n is not None:
        fields["num_samples"] = request.n
    names["num_samples"] = "n"
    structure = structure_of(request)
    if structure is not None:
        fields[structure.field], names[structure.field] = structure.value, structure.name
    return fields, names


_SAME = tuple(
    name
    for name in GenerateJob.model_fields
    if name in SamplingRequest.model_fields and name not in {"seed", "stream", *STRUCTURES}
)
