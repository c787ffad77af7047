"""What the engine keeps of a row while it is in it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from engine.controls.logit_controls import RowControls
from engine.controls.stop_strings import StopSearch
from engine.logprobs import TokenLogprobs
from engine.request import FinishReason, RowResult
from engine.sampler import UniformStream
from engine.tool_use import Tool, ToolCall

if TYPE_CHECKING:
    from engine.state import RequestState


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
