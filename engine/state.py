"""What the engine keeps of a request while it is in it; row_state.py has its rows."""

from __future__ import annotations

import time
from typing import Any

from torch import Tensor

from engine.controls.compiled import UNCONTROLLED, Controls
from engine.follower import Follower
from engine.provenance import Provenance
from engine.request import (
    Request,
    RequestResult,
    RequestTimes,
    RowDelta,
)
from engine.row_state import RowState
from engine.sampling_params import SamplingParams


class RequestState:
    """A request from its submission to its last row. Only the scheduler changes it."""

    __slots__ = (
        "admitted_at",
        "block_names",
        "controls",
        "failure",
        "first_token_at",
        "follower",
        "is_cancelled",
        "max_new_tokens",
        "num_prefilled",
        "num_unfinished",
        "prefix",
        "prompt_logits_V",
        "prompt_logprobs",
        "request",
        "rows",
        "submitted_at",
    )

    def __init__(
        self, request: Request, max_new_tokens: int, controls: Controls = UNCONTROLLED
    ) -> None:
        self.request = request
        self.max_new_tokens = max_new_tokens
        self.controls = controls
        self.failure: str | None = None
        """Why it can't be run, where that was found out."""
        self.is_cancelled = False
        self.num_prefilled = 0
        self.num_unfinished = request.num_samples
        self.block_names: list[bytes] | None = None
        """Of the prompt, by which the prefix cache knows it; None until they are asked for."""
        self.prefix: Any = None
        """The runner's hold on the prompt's keys and values while the request is active."""
        self.prompt_logits_V: Tensor | None = None
        """Logits after the prompt, from which every row draws its first token."""
        self.prompt_logprobs: list[float] = []
        """Of the prompt's tokens from the second on, as far as they are known, where they were
        asked for."""
        self.rows: list[RowState] = []
        """The rows that were started, in row order."""
        self.follower = Follower() if request.stream else None
        self.submitted_at = time.monotonic()
        self.admitted_at: float | None = None
        self.first_token_at: float | None = None

    @property
    def id(self) -> str:
        return self.request.id

    @property
    def params(self) -> SamplingParams:
        return self.request.params

    @property
    def num_prompt_tokens(self) -> int:
        return len(self.request.prompt_tokens)

    @property
    def most_tokens(self) -> int:
        """Of a row, with the prompt."""
        return self.num_prompt_tokens + self.max_new_tokens

    @property
    def reads_cache(self) -> bool:
        """Whether the prompt's beginning may come from the prefix cache: not where logits of all
        of its tokens are asked for."""
        return not self.params.return_prompt_logprobs

    @property
    def num_pending(self) -> int:
        """Rows that were not started yet."""
        return self.request.num_samples - len(self.rows)

    @property
    def next_index(self) -> int:
        """Of the next row to start."""
        return self.request.first_row + len(self.rows)

    @property
    def error(self) -> str | None:
        if self.failure is not None:
            return self.failure
        for row in self.rows:
            if row.finish_reason == "error":
                return f"row {row.index}, position {len(row.tokens)}: {row.error}"
        return None

    def restart(self) -> None:
        """Forget the rows but the first ones that are finished, and the prompt's keys and values.

        One row stays to be run even where all are finished: a request is done with its last row.
        """
        running = (place for place, row in enumerate(self.rows) if not row.is_finished)
        kept = next(running, min(len(self.rows), self.request.num_samples - 1))
        self.rows = self.rows[:kept]
        self.num_unfinished = self.request.num_samples - kept
        self.num_prefilled = 0
        self.prefix = None
        self.prompt_logits_V = None
        self.prompt_logprobs = []

    def new_deltas(self) -> list[RowDelta]:
        """What was not told yet; never anything of a request that does not stream."""
        return [] if self.follower is None else self.follower.follow(self.rows)

    def result(self, provenance: Provenance) -> RequestResult:
        rows = [row.result() for row in self.rows]
        is_told = self.params.return_prompt_logprobs and self.failure is None
        prompt_logprobs = self.prompt_logprobs if is_told else None
        deltas = self.new_deltas()
        times = RequestTimes(
            submitted_at=self.submitted_at,
            admitted_at=self.admitted_at,
            first_token_at=self.first_token_at,
            done_at=time.monotonic(),
        )
        return RequestResult(
            self.id, rows, self.error, provenance, prompt_logprobs, deltas=deltas, times=times
        )
