"""Jobs as people write them: fields of a GenerateJob, or text for a model's tokenizer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import uuid4

from jobs import GenerateJob, InvalidJobError
from jobs.field_limits import unknown_field
from jobs.names import check_job_id
from vocab import ConversationError, load_tokenizer
from vocab.conversation import render_question, render_text

_BESIDE = ("text", "job_id")
"""What a line may have that is no field of a job."""


class JobLines:
    """Makes jobs from mappings; `fields` stands for what a mapping leaves out."""

    def __init__(self, fields: Mapping[str, Any], *, model: str | None, is_raw: bool) -> None:
        self._fields = {name: value for name, value in fields.items() if value is not None}
        self._tokenizer = None if model is None else load_tokenizer(model)
        self._is_raw = is_raw

    def job(self, line: Mapping[str, Any]) -> tuple[str, GenerateJob]:
        """The job's ID, a random one where the line names none, and the job.

        Raises InvalidJobError.
        """
        fields = {**self._fields, **line}
        for name in fields:
            if name not in _BESIDE and name not in GenerateJob.model_fields:
                raise unknown_field(GenerateJob, name, beside=_BESIDE)
        job_id = fields.pop("job_id", None)
        if job_id is None:
            job_id = uuid4().hex
        check_job_id(job_id)  # the client does too, and can't name the line
        if "text" in fields:
            if "prompt_tokens" in fields:
                raise InvalidJobError("text", "text beside prompt_tokens", "one or the other")
            fields["prompt_tokens"] = self._encode(fields.pop("text"))
        return job_id, GenerateJob.parse(fields)

    def read(self, lines: Iterable[str]) -> list[tuple[str, GenerateJob]]:
        """The jobs of JSON lines; empty lines are passed over. Errors name the line."""
        jobs = []
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                jobs.append(self.job(_parse(line)))
            except InvalidJobError as error:
                error.add_note(f"in line {number} of standard input; no job was pushed")
                raise
        return jobs

    def _encode(self, text: Any) -> list[int]:
        if not isinstance(text, str):
            raise InvalidJobError("text", repr(text)[:80], "a string")
        if self._tokenizer is None:
            raise InvalidJobError("text", "text without a tokenizer", "used with --model")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise InvalidJobError("text", "half of a surrogate pair", "of characters") from error
        if self._is_raw:
            return render_text(text, self._tokenizer)
        try:
            return render_question(text, self._tokenizer)
        except ConversationError as error:
            raise InvalidJobError("text", "text as a chat", f"given --raw: {error}") from error


def parse_tokens(text: str, field: str) -> list[int]:
    """Token IDs as people write them: with commas or spaces between. Raises InvalidJobError."""
    try:
        return [int(part) for part in text.replace(",", " ").split()]
    except ValueError as error:
        limit = "token IDs with commas between, as in 1,2,3"
        raise InvalidJobError(field, repr(text)[:80], limit) from error


def _parse(line: str) -> Mapping[str, Any]:
    try:
        parsed = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InvalidJobError("line", "what is no JSON", "a JSON object") from error
    if not isinstance(parsed, dict):
        raise InvalidJobError("line", repr(parsed)[:80], "a JSON object")
    return parsed
