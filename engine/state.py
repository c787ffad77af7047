"""What the engine keeps of a request and of a row while they are in it."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

from torch import Tensor

from engine.controls.compiled import UNCONTROLLED, Controls
from engine.controls.logit_controls import RowControls
from engine.controls.stop_strings import StopSearch
from engine.follower import Follower
from engine.logprobs import TokenLogprobs
from engine.provenance import Provenance
from engine.request import (
    FinishReason,
    Request,
    RequestResult,
    RequestTimes,
    RowDelta,
    RowResult,
)
from engine.sampler import UniformStream
from engine.sampling_params import SamplingParams
from engine.tool_use import Tool, ToolCall


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


class RowState:
    """One row from its start to its last token."""

    __slots__ = (
        "_forced",
        "_stops",
        "_tool_call",
        "_uniforms",
        "controls",
        "finish_reason",
        "index",
        "logprobs",
        "masks",
        "request",
        "tokens",
        "top_logprobs",
        "top_tokens",
    )

    def __init__(self, request: RequestState, index: int, tool: Tool | None) -> None:
        controls = request.controls
        self.request = request
        self.index = index
        self.tokens: list[int] = []
        self.masks: list[int] = []
        self.logprobs: list[float] | None = [] if request.params.logprobs else None
        """One per token; None where they were not asked for."""
        self.top_tokens: list[int] = []
        self.top_logprobs: list[float] = []
        """As many for each token as were asked for, one position after the other."""
        self.controls = (
            None if controls.logits is None else RowControls(controls.logits, self.tokens)
        )
        """What changes the row's logits; None where nothing does."""
        self._stops = None if controls.stops is None else StopSearch(controls.stops)
        self.finish_reason: FinishReason | None = None
        self._uniforms = UniformStream(request.params.seed, index)
        self._tool_call = None if tool is None else ToolCall(tool)
        self._forced: deque[int] = deque()

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

    @property
    def error(self) -> str:
        """Why no token could be drawn, of a row that ended so."""
        why = "the model's logits are not finite numbers"
        if self.controls is None:
            return why
        if self.controls.structure is not None and self.controls.structure.error is not None:
            return self.controls.structure.error
        return f"{why}, or the request's controls leave no token"

    def uniform(self) -> float:
        """The random number of the position that is to be sampled next."""
        return self._uniforms(len(self.tokens))

    def next_token(self, sampled: int) -> int:
        """The token that `append` will take: a forced one where the tool owes it."""
        return self._forced[0] if self._forced else sampled

    @property
    def num_settled(self) -> int:
        """How many of the tokens stay, whatever comes: a stop string takes back the last ones."""
        if self._stops is None or self.finish_reason is not None:
            return len(self.tokens)
        return self._stops.num_settled

    @property
    def text(self) -> str | None:
        """What it says so far; None where nobody asks."""
        return None if self._stops is None else self._stops.text

    @property
    def is_ended_by_token(self) -> bool:
        """Whether the last token is one that ended the row."""
        return self.finish_reason == "stop" and not (self._stops and self._stops.has_found)

    def append(self, sampled: int | None, logprobs: TokenLogprobs | None = None) -> None:
        """Take the next token: a forced one where the tool owes it, else the sampled one.

        None ends the row: its logits were no basis for a token. `logprobs` are those of the token
        that is taken, for a row that keeps them.
        """
        if sampled is None:
            self.finish_reason = "error"
            return
        token = self.next_token(sampled)
        self.masks.append(0 if self._forced else 1)
        if self._forced:
            self._forced.popleft()
        self.tokens.append(token)
        self._keep(logprobs)
        if self.controls is not None:
            self.controls.observe(token)
        self.finish_reason = self._end(token)
        if self._stops is not None:
            self._stop(self._stops, token)
        if self.finish_reason is None and self._tool_call is not None:
            self._forced.extend(self._tool_call.observe(token))

    def _end(self, token: int) -> FinishReason | None:
        """How the row ends with this token, if it does."""
        controls, num_tokens = self.request.controls, len(self.tokens)
        if token in controls.end_tokens and num_tokens > controls.min_tokens:
            return "stop"
        return "length" if num_tokens >= self.request.max_new_tokens else None

    def _stop(self, stops: StopSearch, token: int) -> None:
        """Where a stop string is complete: end before the first token that holds a part of it."""
        kept = stops.add(token)
        if kept is None and self.finish_reason is not None:
            kept = stops.finish()
        if kept is None:
            return
        self.finish_reason = "stop"
        del self.tokens[kept:], self.masks[kept:]
        if self.logprobs is not None:
            num_top = self.request.params.top_logprobs
            del self.logprobs[kept:]
            del self.top_tokens[kept * num_top :], self.top_logprobs[kept * num_top :]

    def _keep(self, logprobs: TokenLogprobs | None) -> None:
        if self.logprobs is None:
            return
        assert logprobs is not None, "a row that keeps log-probabilities got none"
        num_top = self.request.params.top_logprobs
        self.logprobs.append(logprobs.token)
        self.top_tokens += logprobs.top_tokens[:num_top]
        self.top_logprobs += logprobs.top_logprobs[:num_top]

    def result(self) -> RowResult:
        assert self.finish_reason is not None, "the result of a row that still runs"
        has_top = self.request.params.top_logprobs > 0
        return RowResult(
            self.tokens,
            self.masks,
            self.finish_reason,
            self.logprobs,
            self.top_tokens if has_top else None,
            self.top_logprobs if has_top else None,
            self.text,
        )
