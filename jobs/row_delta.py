"""RowDelta: what a stream tells of a row, a piece at a time."""

from dataclasses import dataclass

from jobs.sampled_rows import FinishReason


@dataclass(frozen=True, slots=True, kw_only=True)
class RowDelta:
    """The next tokens of one row.

    `row`: its index, from the job's `first_row` on. `start`: how many tokens of the row came
    before. `tokens`, `masks`, `logprobs`, `top_tokens` and `top_logprobs` are as in a Row, of these
    positions. `finish_reason`: None but in the row's last delta, which may have no tokens; `text`
    is the row's whole text then, where the job has stop strings or a structure.
    """

    row: int
    start: int
    tokens: tuple[int, ...] = ()
    masks: tuple[int, ...] = ()
    logprobs: tuple[float, ...] | None = None
    top_tokens: tuple[int, ...] | None = None
    top_logprobs: tuple[float, ...] | None = None
    finish_reason: FinishReason | None = None
    text: str | None = None
