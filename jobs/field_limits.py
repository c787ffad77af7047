"""Fields with limits that a person can read, and the error that tells of one that is broken."""

from array import array
from typing import Any

from pydantic import BaseModel, Field, ValidationError
from pydantic_core import PydanticCustomError

from jobs.errors import InvalidJobError, brief

_LONGEST_NAME = 80


def integer(default: int | None, least: int, most: int, also: str = "") -> Any:
    limit = f"{_or_none(default)}an integer from {least} to {most}{also}"
    return Field(default=default, ge=least, le=most, description=limit)


def number(default: float | None, least: float, most: float) -> Any:
    limit = f"{_or_none(default)}a number from {least:.12g} to {most:.12g}"
    return Field(default=default, ge=least, le=most, description=limit)


def above_zero(default: float | None, most: float) -> Any:
    limit = f"{_or_none(default)}a number above 0 and at most {most:.12g}"
    return Field(default=default, gt=0, le=most, description=limit)


def flag() -> Any:
    return Field(default=False, description="true or false")


def text(most: int, of: str) -> Any:
    """None, or a string of 1 to `most` characters."""
    limit = f"None or {of} of 1 to {most} characters"
    return Field(default=None, min_length=1, max_length=most, description=limit)


def items(most: int, of: str) -> Any:
    """None of them, or up to `most`."""
    return Field(default=(), max_length=most, description=f"a list of at most {most} {of}")


def as_tuple(value: object) -> tuple[Any, ...]:
    """For the field's validator. pydantic would also take sets and generators, which have no order,
    and no list where it is strict."""
    is_integer_array = isinstance(value, array) and value.typecode in "bBhHiIlLqQ"
    if is_integer_array or isinstance(value, list | tuple):
        return tuple(value)  # type: ignore[arg-type]
    raise PydanticCustomError("not_a_sequence", "not a list, tuple or array of integers")


def explained(model: type[BaseModel], error: ValidationError) -> InvalidJobError:
    """The first thing that is wrong, by the description of its field."""
    problem = error.errors(include_url=False)[0]
    cause = problem.get("ctx", {}).get("error")
    if isinstance(cause, InvalidJobError):  # raised by a validator, which knows more
        return cause
    field = str(problem["loc"][0])
    described = model.model_fields.get(field)
    if described is None:
        return unknown_field(model, field)
    limit = described.description or problem["msg"]
    if problem["type"] == "missing":
        return InvalidJobError(field, "leaving it out", limit)
    place = f" at index {problem['loc'][1]}" if len(problem["loc"]) > 1 else ""
    return InvalidJobError(field, brief(problem["input"]) + place, limit)


def unknown_field(
    model: type[BaseModel],
    field: str,
    *,
    beside: tuple[str, ...] = (),
    without: tuple[str, ...] = (),
) -> InvalidJobError:
    """`beside` are names that would do although they are no field of the model; those of `without`
    would not, although they are."""
    is_plain = field.isidentifier() and len(field) <= _LONGEST_NAME
    names = [name for name in model.model_fields if name not in without]
    limit = f"one of {', '.join([*names, *beside])}"
    return InvalidJobError(field if is_plain else brief(field), "this field", limit)


def _or_none(default: object) -> str:
    return "None or " if default is None else ""
