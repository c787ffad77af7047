"""GenerateJob: what a producer asks for, checked where it is made and again where it is taken."""

from array import array
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from jobs.errors import InvalidJobError, brief
from jobs.names import NAME, NAME_LIMIT

UINT32_MAX = 2**32 - 1
UINT64_MAX = 2**64 - 1
MAX_PROMPT_TOKENS = 10**6
MAX_NUM_SAMPLES = 2**16 - 1
_LONGEST_NAME = 80

Token = Annotated[int, Field(strict=True, ge=0, le=UINT32_MAX)]


def _as_tuple(tokens: object) -> tuple[Any, ...]:
    # pydantic would also take sets and generators here, whose order means nothing.
    is_integer_array = isinstance(tokens, array) and tokens.typecode in "bBhHiIlLqQ"
    if is_integer_array or isinstance(tokens, list | tuple):
        return tuple(tokens)  # type: ignore[arg-type]
    raise PydanticCustomError("not_a_sequence", "not a list, tuple or array of integers")


# FailFast: one bad prompt of 32,000 floats is one error, not 32,000.
Tokens = Annotated[
    tuple[Token, ...],
    FailFast(),
    Field(min_length=1, max_length=MAX_PROMPT_TOKENS),
    BeforeValidator(_as_tuple),
]


class GenerateJob(BaseModel):
    """One prompt and how to sample from it. Each description below is the field's limit.

    The limits are those of the format. A worker has its own, from its model and memory, and fails
    a job that exceeds them. A bad value or an unknown field raises `InvalidJobError`.

    The job's rows are those of indices `first_row` to `first_row + num_samples - 1`. An index
    gives the same row in whichever job it is asked for: rows 8 to 15 extend a job of eight rows to
    one of 16.

    With `logprobs` every row tells how likely the model itself held each of its tokens.

    The last four fields change no token. `deadline_seconds`: the job fails unless it is done so
    many seconds after it was pushed. `tenant`: whose it is; a worker takes the tenants of a queue
    by turns. `reply_to`: the list on which the job's ID is put when it has ended; see
    `Client.replies`.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    prompt_tokens: Tokens = Field(
        description="a list, tuple or array of 1 to 1000000 integers from 0 to 4294967295",
    )
    num_samples: int = Field(
        default=1, ge=1, le=MAX_NUM_SAMPLES, description="an integer from 1 to 65535"
    )
    first_row: int = Field(
        default=0,
        ge=0,
        lt=MAX_NUM_SAMPLES,
        description="an integer from 0 to 65534, with num_samples at most 65535",
    )
    max_tokens: int | None = Field(
        default=None, ge=1, le=UINT32_MAX, description="None or an integer from 1 to 4294967295"
    )
    temperature: float = Field(default=1.0, ge=0, le=10_000, description="a number from 0 to 10000")
    top_k: int | None = Field(
        default=None, ge=1, le=UINT32_MAX, description="None or an integer from 1 to 4294967295"
    )
    top_p: float | None = Field(
        default=None, gt=0, le=1, description="None or a number above 0 and at most 1"
    )
    min_p: float | None = Field(
        default=None, ge=0, le=1, description="None or a number from 0 to 1"
    )
    seed: int = Field(
        default=0, ge=0, le=UINT64_MAX, description="an integer from 0 to 18446744073709551615"
    )
    logprobs: bool = Field(default=False, description="true or false")
    deadline_seconds: float | None = Field(
        default=None,
        gt=0,
        le=UINT32_MAX,
        description="None or a number above 0 and at most 4294967295",
    )
    tenant: str | None = Field(default=None, pattern=NAME, description=f"None or {NAME_LIMIT}")
    reply_to: str | None = Field(default=None, pattern=NAME, description=f"None or {NAME_LIMIT}")

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
                raise _explain(error.errors(include_url=False)[0]) from error

    @classmethod
    def parse(cls, fields: object) -> "GenerateJob":
        """Makes a job from untrusted keyword arguments; anything wrong is an InvalidJobError."""
        if not isinstance(fields, Mapping):
            raise InvalidJobError("job", brief(fields), "a mapping of field names to values")
        for name in fields:
            if not isinstance(name, str):
                raise InvalidJobError(brief(name), "this name", "a string")
            if name not in cls.model_fields:  # here: pydantic would note each of a million such
                raise _unknown(name)
        return cls(**fields)

    def fields(self) -> dict[str, Any]:
        """The keyword arguments that make this job again, without those that are None."""
        return {name: value for name, value in self if value is not None}


def _unknown(field: str) -> InvalidJobError:
    is_plain = field.isidentifier() and len(field) <= _LONGEST_NAME
    limit = f"one of {', '.join(GenerateJob.model_fields)}"
    return InvalidJobError(field if is_plain else brief(field), "this field", limit)


def _explain(problem: ErrorDetails) -> InvalidJobError:
    field = str(problem["loc"][0])
    described = GenerateJob.model_fields.get(field)
    if described is None:
        return _unknown(field)
    if problem["type"] == "missing":
        return InvalidJobError(field, "leaving it out", str(described.description))
    place = f" at index {problem['loc'][1]}" if len(problem["loc"]) > 1 else ""
    return InvalidJobError(field, brief(problem["input"]) + place, str(described.description))
