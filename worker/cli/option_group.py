"""Options that commands share, as one parameter: a dataclass with a field for each."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from inspect import Parameter
from typing import Any, get_type_hints

Command = Callable[..., None]


def with_options(name: str, group: type[Any]) -> Callable[[Command], Command]:
    """Shows typer the fields of `group`, a dataclass of annotated options, in place of a command's
    parameter `name`, and gives the command the whole. All parameters are keywords."""
    types = get_type_hints(group, include_extras=True)
    options = [
        Parameter(its.name, Parameter.KEYWORD_ONLY, default=its.default, annotation=types[its.name])
        for its in dataclasses.fields(group)
    ]

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def spread(**arguments: Any) -> None:
            given = {option.name: arguments.pop(option.name) for option in options}
            command(**arguments, **{name: group(**given)})

        own = inspect.signature(command, eval_str=True)
        shown: list[Parameter] = []
        for parameter in own.parameters.values():
            shown += options if parameter.name == name else [parameter]
        spread.__signature__ = own.replace(parameters=shown)  # type: ignore[attr-defined]
        return spread

    return decorate
