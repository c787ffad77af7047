"""Answers: a batch's results as the lines of its output and error files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gateway.batches.batch import Batch, RequestCounts
from gateway.batches.endpoint import Endpoint
from gateway.batches.identifiers import derived_id
from gateway.batches.refusal import Refusal
from gateway.batches.requests import Request, Requests
from gateway.batches.results import Results
from gateway.errors import ApiError
from gateway.openai.asked import Asked, as_asked
from jobs import JobCancelledError, JobFailedError, JobsError, SampledRows
from jobs.dataset.failure import Failure

_NOT_RUN = {
    "expired": ("batch_expired", "the batch expired before this request could be run"),
    "cancelled": ("batch_cancelled", "the batch was cancelled before this request was run"),
}


@dataclass(frozen=True, slots=True)
class Answer:
    """A line of a file. `is_run`: there is an answer, be it that it failed."""

    line: dict[str, Any]
    is_good: bool
    is_run: bool

    @property
    def text(self) -> str:
        return json.dumps(self.line, ensure_ascii=False, separators=(",", ":")) + "\n"


class Answers:
    """Of a batch that ends; the same each time that they are made."""

    def __init__(
        self, batch: Batch, endpoint: Endpoint, requests: Requests, results: Results
    ) -> None:
        assert batch.finalizing_at is not None or batch.cancelling_at is not None
        self._batch = batch
        self._created_at = batch.finalizing_at or batch.cancelling_at or 0
        self._endpoint = endpoint
        self._requests = requests
        self._results = results
        self._num_completed = self._num_failed = 0

    def __iter__(self) -> Iterator[Answer]:
        for request in self._requests:
            answer = self._answer(request)
            self._num_completed += answer.is_good
            self._num_failed += answer.is_run and not answer.is_good
            yield answer

    @property
    def counts(self) -> RequestCounts:
        """Of what was given so far."""
        total = self._batch.request_counts.total
        return RequestCounts(total=total, completed=self._num_completed, failed=self._num_failed)

    def _answer(self, request: Request) -> Answer:
        if isinstance(request.asked, ApiError):
            error = request.asked
            return self._refused(request, error.status, error.body())
        rows: list[SampledRows] = []
        for place, _ in request.jobs():
            result = self._results.get(place)
            if result is None:
                return self._not_run(request)
            if isinstance(result, Failure):
                return self._failed(request, request.asked, result)
            rows.append(result)
        return self._given(request, request.asked, rows)

    def _given(self, request: Request, asked: Asked, rows: list[SampledRows]) -> Answer:
        key = self._id("", request)
        body = self._endpoint.answer(asked, rows, key=key, created=self._created_at)
        return Answer(self._line(request, 200, body), is_good=True, is_run=True)

    def _failed(self, request: Request, asked: Asked, failure: Failure) -> Answer:
        refusal = Refusal.told_by(failure)
        if refusal is not None:
            return self._refused(request, refusal.status, refusal.body)
        error = as_asked(_error_of(failure), asked.names)
        return self._refused(request, error.status, error.body())

    def _refused(self, request: Request, status: int, body: dict[str, Any]) -> Answer:
        return Answer(self._line(request, status, body), is_good=False, is_run=True)

    def _not_run(self, request: Request) -> Answer:
        assert self._batch.ends_as in _NOT_RUN
        code, message = _NOT_RUN[self._batch.ends_as]
        line = {**self._line(request, 0, {}), "response": None}
        line["error"] = {"code": code, "message": message}
        return Answer(line, is_good=False, is_run=False)

    def _line(self, request: Request, status: int, body: dict[str, Any]) -> dict[str, Any]:
        request_id = self._id("req_", request)
        response = {"status_code": status, "request_id": request_id, "body": body}
        return {
            "id": self._id("batch_req_", request),
            "custom_id": request.custom_id,
            "response": response,
            "error": None,
        }

    def _id(self, prefix: str, request: Request) -> str:
        return derived_id(prefix, self._batch.id, request.index)


def _error_of(failure: Failure) -> JobsError:
    """By its line's ID: a job's own is nothing that callers know."""
    if failure.kind == JobCancelledError.__name__:
        return JobCancelledError(failure.location)
    return JobFailedError(failure.location, failure.reason)
