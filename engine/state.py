"""What the engine keeps of a request and of a row while they are in it."""

from __future__ import annotations

from collections import deque
from typing import Any

from torch import Tensor

from engine.provenance import Provenance
from engine.request import FinishReason, Request, RequestResult, RowResult
from engine.sampler import UniformStream
from engine.sampling_params import SamplingParams
from engine.tool_use import Tool, ToolCall


class RequestState:
    """A request from its submission to its last row. Only the scheduler changes it."""

    __slots__ = (
        "failure",
        "is_cancelled",
        "max_new_tokens",
        "num_prefilled",
        "num_unfinished",
        "prefix",
        "prompt_logits_V",
        "request",
        "rows",
    )

    def __init__(self, request: Request, max_new_tokens: int) -> None:
        self.request = request
        self.max_new_tokens = max_new_tokens
        self.failure: str | None = None
        """Why it can't be run, where that was found out."""
        self.is_cancelled = False
        self.num_prefilled = 0
        self.num_unfinished = request.num_samples
        self.prefix: Any = None
        """The runner's hold on the prompt's keys and values while the request is active."""
        self.prompt_logits_V: Tensor | None = None
        """Logits after the prompt, from which every row draws its first token."""
        self.rows: list[RowState] = []
        """The rows that were started, in row order."""

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
                place = f"row {row.index}, position {len(row.tokens)}"
                return f"{place}: the model's logits are not finite numbers"
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

    def result(self, provenance: Provenance) -> RequestResult:
        rows = [row.result() for row in self.rows]
        return RequestResult(self.id, rows, self.error, provenance)


class RowState:
    """One row from its start to its last token."""

    __slots__ = (
        "_forced",
        "_terminal",
        "_tool_call",
        "_uniforms",
        "finish_reason",
        "index",
        "logprobs",
        "masks",
        "request",
        "tokens",
    )

    def __init__(
        self, request: RequestState, index: int, tool: Tool | None, terminal: frozenset[int]
    ) -> None:
        self.request = request
        self.index = index
        self.tokens: list[int] = []
        self.masks: list[int] = []
        self.logprobs: list[float] | None = [] if request.params.logprobs else None
        """One per token; None where they were not asked for."""
        self.finish_reason: FinishReason | None = None
        self._uniforms = UniformStream(request.params.seed, index)
        self._tool_call = None if tool is None else ToolCall(tool)
        self._forced: deque[int] = deque()
        self._terminal = terminal

    @property
    def is_finished(self) -> bool:
        """Whether the row is to leave the batch."""
        return self.finish_reason is not None or self.request.is_cancelled

    @property
    def position(self) -> int:
        """The place of the row's newest token in its sequence, prompt included."""
        return self.request.num_prompt_tokens + len(self.tokens) - 1

    @property
    def previous_token(self) -> int:
        """The one before the newest."""
        return self.tokens[-2] if len(self.tokens) > 1 else self.request.request.prompt_tokens[-1]

    def uniform(self) -> float:
        """The random number of the position that is to be sampled next."""
        return self._uniforms(len(self.tokens))

    def next_token(self, sampled: int) -> int:
        """The token that `append` will take: a forced one where the tool owes it."""
        return self._forced[0] if self._forced else sampled

    def append(self, sampled: int | None, logprob: float | None = None) -> None:
        """Take the next token: a forced one where the tool owes it, else the sampled one.

        None ends the row: its logits were no basis for a token. `logprob` is that of the token that
        is taken, for a row that keeps them.
        """
        if sampled is None:
            self.finish_reason = "error"
            return
        token = self.next_token(sampled)
        self.masks.append(0 if self._forced else 1)
        if self._forced:
            self._forced.popleft()
        self.tokens.append(token)
        if self.logprobs is not None:
            assert logprob is not None, "a row that keeps log-probabilities got none"
            self.logprobs.append(logprob)
        if token in self._terminal:
            self.finish_reason = "stop"
        elif len(self.tokens) >= self.request.max_new_tokens:
            self.finish_reason = "length"
        elif self._tool_call is not None:
            self._forced.extend(self._tool_call.observe(token))

    def result(self) -> RowResult:
        assert self.finish_reason is not None, "the result of a row that still runs"
        return RowResult(self.tokens, self.masks, self.finish_reason, self.logprobs)
