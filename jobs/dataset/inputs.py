"""Inputs: lines of a dataset as jobs, or what is wrong with them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from jobs.dataset import batch_line
from jobs.dataset.errors import InputFileError, LineError
from jobs.dataset.prompt import Prompter
from jobs.dataset.request import PARAMETERS, LineRequest, id_of, whole
from jobs.dataset.seeds import derive_seed
from jobs.dataset.source import Line
from jobs.errors import InvalidJobError
from jobs.generate_job import GenerateJob
from vocab import Tokenizer, TokenizerError

PROMPT_COLUMNS = ("prompt_tokens", "prompt", "messages")
ID_COLUMN = "id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """A line that can be sampled. `job` has its seed and all parameters; `id` is the line's own."""

    index: int
    location: str
    id: str | None
    job: GenerateJob


@dataclass(frozen=True, slots=True, kw_only=True)
class BadLine:
    """A line that can't, and the reason. `id`: where the line has one that can be read."""

    index: int
    location: str
    id: str | None
    reason: str


class InputReader:
    """Makes an Input or a BadLine of each line.

    `defaults`: fields of GenerateJob, by name, for what a line leaves out. A line may have a column
    for each of PARAMETERS; null is leaving it out, and other columns are ignored. `seed` is the
    run's: each input without a seed gets one of its own by `derive_seed`. The prompt is in
    `prompt_column`, or else in the only one of PROMPT_COLUMNS that a line has; then a line may also
    be one of OpenAI's batch format. What type the value has says whether it is token IDs, text or
    messages. Raises InvalidJobError for a default or seed that breaks its limit.
    """

    def __init__(
        self,
        *,
        seed: int,
        defaults: Mapping[str, Any] | None = None,
        tokenizer: Tokenizer | None = None,
        prompt_column: str | None = None,
        id_column: str = ID_COLUMN,
        is_chat: bool = False,
    ) -> None:
        assert "seed" not in (defaults or {}), "all inputs would have it"
        given = {name: value for name, value in (defaults or {}).items() if value is not None}
        GenerateJob.parse({**given, "seed": seed, "prompt_tokens": (0,)})
        self._defaults = given
        self._seed = seed
        self._prompt_column = prompt_column
        self.id_column = id_column
        self._prompter = Prompter(tokenizer, is_chat=is_chat)
        self._checker = self._prompter.without_text()

    @property
    def columns(self) -> frozenset[str]:
        """All that is read of a line."""
        own = {self.id_column, *PARAMETERS}
        if self._prompt_column is not None:
            return frozenset({self._prompt_column, *own})
        return frozenset({*PROMPT_COLUMNS, *batch_line.COLUMNS, *own})

    def check_columns(self, columns: Collection[str]) -> None:
        """Raises LineError where lines with these columns and no others can't be inputs."""
        wanted = PROMPT_COLUMNS if self._prompt_column is None else (self._prompt_column,)
        is_batch = self._prompt_column is None and {batch_line.ID, "body"} <= set(columns)
        if not is_batch and not set(wanted) & set(columns):
            raise LineError(self._no_prompt())
        if self.id_column != ID_COLUMN and self.id_column not in columns:
            raise LineError(f"has no column {self.id_column!r} for IDs")

    def read(self, line: Line) -> Input | BadLine:
        """Raises InputFileError for text where there is no tokenizer."""
        return self._read(line, self._prompter)

    def check(self, line: Line) -> Input | BadLine:
        """As `read`, but text is not encoded: the job has nearly no tokens in place of it.

        So the length of a text is not checked. Many times as fast as `read` for text.
        """
        return self._read(line, self._checker)

    def _read(self, line: Line, prompter: Prompter) -> Input | BadLine:
        input_id: str | None = None
        names: Mapping[str, str] = {}
        try:
            record = line.record()
            is_batch = self._prompt_column is None and batch_line.is_batch_line(record)
            input_id = self._id(record, is_batch)
            request = (
                batch_line.read_batch_line(record, self._defaults)
                if is_batch
                else self._request(record)
            )
            names = request.names
            job = self._job(line.index, input_id, request, prompter)
        except LineError as error:
            reason = str(error)
        except InvalidJobError as error:
            name = names.get(error.field, error.field)
            reason = str(InvalidJobError(name, error.value, error.limit))
        except TokenizerError as error:
            raise InputFileError(line.location, f"{error}: give --model") from error
        else:
            return Input(index=line.index, location=line.location, id=input_id, job=job)
        return BadLine(index=line.index, location=line.location, id=input_id, reason=reason)

    def _id(self, record: Mapping[str, Any], is_batch: bool) -> str | None:
        column = batch_line.ID if is_batch else self.id_column
        return id_of(record.get(column), column)

    def _request(self, record: Mapping[str, Any]) -> LineRequest:
        """Of a line that is not OpenAI's."""
        wanted = PROMPT_COLUMNS if self._prompt_column is None else (self._prompt_column,)
        found = [name for name in wanted if record.get(name) is not None]
        if not found:
            raise LineError(self._no_prompt())
        if len(found) > 1:
            raise LineError(f"has {' and '.join(found)}: name one with --prompt-column")
        column = found[0]
        parameters = {
            name: value
            for name in PARAMETERS
            if name != column and (value := record.get(name)) is not None
        }
        return LineRequest(
            prompt=record[column], parameters=parameters, names={"prompt_tokens": column}
        )

    def _no_prompt(self) -> str:
        if self._prompt_column is not None:
            return f"has no prompt: nothing in {self._prompt_column!r}"
        return f"has no prompt: none of {', '.join(PROMPT_COLUMNS)}, and no batch request"

    def _job(
        self, index: int, input_id: str | None, request: LineRequest, prompter: Prompter
    ) -> GenerateJob:
        fields = {**self._defaults, **request.parameters}
        fields = {name: whole(value) for name, value in fields.items()}
        if "seed" not in fields:
            fields["seed"] = derive_seed(self._seed, index, input_id)
        name = request.names["prompt_tokens"]
        fields["prompt_tokens"] = prompter.tokens(request.prompt, name)
        return GenerateJob(**fields)
