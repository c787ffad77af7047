"""GenerateJob: what a producer asks for, checked where it is made and again where it is taken."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    FailFast,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError

from jobs.errors import InvalidJobError, brief
from jobs.field_limits import above_zero, as_tuple, explained, flag, integer, unknown_field
from jobs.names import NAME, NAME_LIMIT
from jobs.sampling_fields import SamplingFields
from jobs.webhook_url import MAX_URL_LENGTH, URL_LIMIT, URL_PATTERN, WebhookUrl

UINT32_MAX = 2**32 - 1
UINT64_MAX = 2**64 - 1
MAX_PROMPT_TOKENS = 10**6
MAX_NUM_SAMPLES = 2**16 - 1
MAX_PRIORITY = 100

Token = Annotated[int, Field(strict=True, ge=0, le=UINT32_MAX)]

# FailFast: one bad prompt of 32,000 floats is one error, not 32,000.
Tokens = Annotated[
    tuple[Token, ...],
    FailFast(),
    Field(min_length=1, max_length=MAX_PROMPT_TOKENS),
    BeforeValidator(as_tuple),
]


def _with_a_port(url: str) -> str:
    try:
        WebhookUrl.parse(url)
    except ValueError as error:
        raise PydanticCustomError("no_webhook_url", "not the URL of a webhook") from error
    return url


Url = Annotated[
    str,
    Field(strict=True, max_length=MAX_URL_LENGTH, pattern=URL_PATTERN),
    AfterValidator(_with_a_port),
]


class GenerateJob(SamplingFields):
    """One prompt and how to sample from it. Each description below is the field's limit.

    The limits are those of the format. A worker has its own, from its model and memory, and fails
    a job that exceeds them. A bad value or an unknown field raises `InvalidJobError`.

    The job's rows are those of indices `first_row` to `first_row + num_samples - 1`. An index
    gives the same row in whichever job it is asked for: rows 8 to 15 extend a job of eight rows to
    one of 16.

    The last fields are about the job, not its rows. `deadline_seconds`: the job fails unless it is
    done so many seconds after it was pushed. `tenant`: whose it is; a worker takes the tenants of
    a queue by turns. `priority`: the tenant's share of them, which is so many times that of one
    with priority 1. `reply_to`: the list on which the job's ID is put when it has ended; see
    `Client.replies`. `stream`: whether its worker tells tokens as they come; see `Client.stream`.
    `webhook_url`: where `rowmill webhooks` says that the job has ended.
    """

    prompt_tokens: Tokens = Field(
        description="a list, tuple or array of 1 to 1000000 integers from 0 to 4294967295",
    )
    num_samples: int = integer(1, 1, MAX_NUM_SAMPLES)
    first_row: int = integer(
        0, 0, MAX_NUM_SAMPLES - 1, also=f", with num_samples at most {MAX_NUM_SAMPLES}"
    )
    seed: int = integer(0, 0, UINT64_MAX)
    deadline_seconds: float | None = above_zero(None, UINT32_MAX)
    tenant: str | None = Field(default=None, pattern=NAME, description=f"None or {NAME_LIMIT}")
    priority: int = integer(1, 1, MAX_PRIORITY)
    reply_to: str | None = Field(default=None, pattern=NAME, description=f"None or {NAME_LIMIT}")
    stream: bool = flag()
    webhook_url: Url | None = Field(default=None, description=f"None or {URL_LIMIT}")

    @field_validator("first_row")
    @classmethod
    def _check_last_row(cls, first_row: int, info: ValidationInfo) -> int:
        # num_samples is missing here where it is bad itself, which is then the error.
        if first_row + info.data.get("num_samples", 0) > MAX_NUM_SAMPLES:
            raise PydanticCustomError("beyond_the_last_row", "the last row's index is too large")
        return first_row

    if not TYPE_CHECKING:  # type checkers keep the signature that pydantic derives from the fields

        def __init__(self, /, **fields: Any) -> None:
            try:
                super().__init__(**fields)
            except ValidationError as error:
                raise explained(GenerateJob, error) from error

    @classmethod
    def parse(cls, fields: object) -> "GenerateJob":
        """Makes a job from untrusted keyword arguments; anything wrong is an InvalidJobError."""
        if not isinstance(fields, Mapping):
            raise InvalidJobError("job", brief(fields), "a mapping of field names to values")
        for name in fields:
            if not isinstance(name, str):
                raise InvalidJobError(brief(name), "this name", "a string")
            if name not in cls.model_fields:  # here: pydantic would note each of a million such
                raise unknown_field(cls, name)
        return cls(**fields)
