"""The demo: generated questions through the queue, answered by the shipped model."""

from __future__ import annotations

import dataclasses
import hashlib
import random
import re
import time
from array import array
from collections.abc import Callable, Iterator, Sequence

import redis

from jobs import Client, GenerateJob, ResultTimeoutError, Row, SampledRows
from vocab import ByteTokenizer
from vocab.conversation import render_question
from vocab.display import display
from worker.arithmetic import Question, arithmetic_question, stated_answer

MAX_TOKENS = 96
_CHECK_SECONDS = 5.0
_SPECIAL = re.compile(r"(?:<\|\w+\|>)+")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DemoFigures:
    """What a run of the demo measured."""

    rows: int
    rows_right: int
    tokens_per_second: float
    jobs_per_second: float
    rows_per_step: float
    sha256: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A question with its rows as text, and which of them are right."""

    question: Question
    texts: list[str]
    are_right: list[bool]


class Demo:
    """Questions by seed: the same seed asks the same questions with the same job seeds."""

    def __init__(self, num_questions: int, num_samples: int, seed: int) -> None:
        rng = random.Random(seed)
        self._tokenizer = ByteTokenizer()
        self.questions = [arithmetic_question(rng) for _ in range(num_questions)]
        self.jobs = [
            GenerateJob(
                prompt_tokens=tuple(render_question(question.text, self._tokenizer)),
                num_samples=num_samples,
                max_tokens=MAX_TOKENS,
                seed=seed + index,
            )
            for index, question in enumerate(self.questions)
        ]

    def run(
        self, client: Client, on_result: Callable[[], None], while_waiting: Callable[[], None]
    ) -> tuple[list[SampledRows], float]:
        """Push all jobs and wait for them; rows in job order, and the seconds it took.

        `while_waiting` is called every few seconds and may raise to end the wait. Raises the
        JobsError of the first job that fails.
        """
        started = time.monotonic()
        job_ids = client.submit_many(self.jobs)
        rows: dict[str, SampledRows] = {}
        while missing := [job_id for job_id in job_ids if job_id not in rows]:
            while_waiting()
            for job_id, outcome in client.results(missing, _CHECK_SECONDS):
                if isinstance(outcome, SampledRows):
                    rows[job_id] = outcome
                    on_result()
                elif not isinstance(outcome, ResultTimeoutError):
                    raise outcome
        return [rows[job_id] for job_id in job_ids], time.monotonic() - started

    def answered(self, results: Sequence[SampledRows]) -> Iterator[Answered]:
        """Judge the rows: right is a row that states the answer as the model was taught to."""
        for question, result in zip(self.questions, results, strict=True):
            yield Answered(
                question=question,
                texts=[self._in_parts(row) for row in result.rows],
                are_right=[
                    stated_answer(row.tokens, self._tokenizer) == question.answer
                    for row in result.rows
                ],
            )

    def _in_parts(self, row: Row) -> str:
        """A row's text with a bar between the call, the calculator's output and the answer."""
        return _SPECIAL.sub(" | ", display(row.tokens, self._tokenizer)).strip(" |")


def measure(
    demo: Demo, results: Sequence[SampledRows], seconds: float, rows_per_step: float
) -> DemoFigures:
    return DemoFigures(
        rows=sum(len(result.rows) for result in results),
        rows_right=sum(sum(answer.are_right) for answer in demo.answered(results)),
        tokens_per_second=sum(len(row.tokens) for its in results for row in its.rows) / seconds,
        jobs_per_second=len(results) / seconds,
        rows_per_step=rows_per_step,
        sha256=digest(results),
    )


def digest(results: Sequence[SampledRows]) -> str:
    """SHA-256 over all rows in job order: per row, its length and its tokens as uint32, in
    little-endian order."""
    sha256 = hashlib.sha256()
    for result in results:
        for row in result.rows:
            numbers = array("I", [len(row.tokens), *row.tokens])
            sha256.update(b"".join(number.to_bytes(4, "little") for number in numbers))
    return sha256.hexdigest()


def claim(results: Sequence[SampledRows]) -> str:
    """A line with what the workers' probes found, their policies and their kernels."""
    known = [its.provenance for its in results if its.provenance is not None]
    measures = sorted({f"policy {its.policy}, kernels {its.kernels}" for its in known})
    names = "; ".join(measures) or "policy unknown"
    if all(its.reproducible for its in results):
        return f"reproducible   yes ({names})"
    return f"NOT reproducible ({names}): see docs/reproducibility.md"


def rows_per_step(connection: redis.Redis) -> float:
    """Mean over all workers that published their counts; 0 where none did."""
    steps = tokens = 0
    for key in connection.scan_iter("rq:worker:*", _type="hash"):
        counts = connection.hmget(key, "engine_steps", "engine_tokens")
        steps += int(counts[0] or 0)
        tokens += int(counts[1] or 0)
    return tokens / steps if steps else 0.0
