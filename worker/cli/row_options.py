"""RowOptions: how rows are sampled, as `rowmill submit` and `rowmill sample` are told."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from jobs import InvalidJobError
from jobs.errors import brief
from worker.job_lines import parse_tokens

ROWS = "Rows"
"""The part of a command's help that tells how rows are sampled."""


def _option(*names: str, help: str, show_default: str | bool = False) -> Any:
    return typer.Option(*names, help=help, show_default=show_default, rich_help_panel=ROWS)


_OR_MODEL = "the model's, or"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RowOptions:
    """The fields of SamplingFields as people type them; None, False and nothing for the default."""

    max_tokens: Annotated[
        int | None, _option(help="Per row.", show_default="until the context is full")
    ] = None
    min_tokens: Annotated[
        int | None, _option(help="No row ends by a token or a text before it has so many.")
    ] = None
    temperature: Annotated[
        float | None, _option(help="0 is greedy.", show_default=f"{_OR_MODEL} 1")
    ] = None
    top_k: Annotated[int | None, _option(help="Keep the k likeliest tokens.")] = None
    top_p: Annotated[float | None, _option(help="Keep the likeliest tokens up to this share.")] = (
        None
    )
    min_p: Annotated[
        float | None, _option(help="Keep tokens this likely beside the likeliest.")
    ] = None
    repetition_penalty: Annotated[
        float | None,
        _option(help="On tokens of prompt and row.", show_default=f"{_OR_MODEL} 1: none"),
    ] = None
    presence_penalty: Annotated[float | None, _option(help="Off the logits of a row's tokens.")] = (
        None
    )
    frequency_penalty: Annotated[
        float | None, _option(help="Off them once for each time that they came.")
    ] = None
    logit_bias: Annotated[
        list[str] | None, _option(help="TOKEN=BIAS: added to its logit. Repeatable.")
    ] = None
    bad_words: Annotated[list[str] | None, _option(help="Never comes. Repeatable.")] = None
    stop: Annotated[list[str] | None, _option(help="Text that ends a row. Repeatable.")] = None
    stop_token_ids: Annotated[str | None, _option(help="Tokens that end a row: 1,2,3")] = None
    ignore_eos: Annotated[
        bool, _option("--ignore-eos", help="The model's own end tokens end no row.")
    ] = False
    json_schema: Annotated[
        str | None, _option(help="Rows are JSON of this schema: text or a file.")
    ] = None
    regex: Annotated[str | None, _option(help="Rows match this expression.")] = None
    grammar: Annotated[
        str | None, _option(help="Rows are of this grammar, in Lark's notation: text or a file.")
    ] = None
    logprobs: Annotated[
        bool, _option("--logprobs", help="With the log-probability of each token.")
    ] = False
    top_logprobs: Annotated[
        int | None, _option(help="With so many of the likeliest tokens at each position.")
    ] = None
    logprobs_mode: Annotated[
        str | None,
        _option(help="raw: the model's own; processed: those drawn from.", show_default="raw"),
    ] = None
    return_prompt_logprobs: Annotated[
        bool, _option("--prompt-logprobs", help="With those of the prompt's tokens.")
    ] = False

    def fields(self) -> dict[str, Any]:
        """Of a GenerateJob, those that were given. Raises InvalidJobError for what can't be read.

        Whether their values are allowed, the job tells.
        """
        typed = {its.name: getattr(self, its.name) for its in dataclasses.fields(self)}
        fields = {
            name: value
            for name, value in typed.items()
            if not (value is None or value is False or value == [])
        }
        if self.logit_bias:
            fields["logit_bias"] = _biases(self.logit_bias)
        if self.stop_token_ids is not None:
            fields["stop_token_ids"] = parse_tokens(self.stop_token_ids, "stop_token_ids")
        if self.json_schema is not None:
            fields["json_schema"] = _schema(self.json_schema)
        if self.grammar is not None:
            fields["grammar"] = _grammar(self.grammar)
        return fields


def _biases(typed: Sequence[str]) -> list[tuple[int, float]]:
    biases = []
    for text in typed:
        token, _, bias = text.partition("=")
        try:
            biases.append((int(token), float(bias)))
        except ValueError as error:
            limit = "TOKEN=BIAS, as in 50=-1.5"
            raise InvalidJobError("logit_bias", brief(text), limit) from error
    return biases


def _schema(typed: str) -> str:
    text = _text_of("json_schema", typed)
    limit = "a JSON object, or the name of a file that holds one"
    try:
        is_object = isinstance(json.loads(text), dict)
    except (ValueError, RecursionError) as error:
        raise InvalidJobError("json_schema", brief(typed), f"{limit} ({error})") from error
    if not is_object:
        raise InvalidJobError("json_schema", brief(typed), limit)
    return text


def _grammar(typed: str) -> str:
    text = _text_of("grammar", typed)
    if ":" not in text:  # every rule has one, so this may be the name of a file that is not there
        limit = "a grammar in Lark's notation, or the name of a file that holds one"
        raise InvalidJobError("grammar", brief(typed), limit)
    return text


def _text_of(name: str, typed: str) -> str:
    """What the file of this name holds; where there is none, the text as it is."""
    if not os.path.isfile(typed):  # False too for what can be no name, being too long or odd
        return typed
    try:
        return Path(typed).read_text(encoding="utf-8")
    except (UnicodeDecodeError, OSError) as error:
        limit = "one that can be read, in UTF-8"
        raise InvalidJobError(name, f"the file {brief(typed)}", limit) from error
