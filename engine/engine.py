"""The engine: continuous batching over many requests, and nanochat's interface on top of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from engine.config import EngineConfig
from engine.errors import ModelError, RequestError, SchedulingError
from engine.limits import allowed_new_tokens
from engine.memory import default_budget
from engine.models.packed import ModelShape, PackedModel
from engine.packed_runner import PackedRunner
from engine.request import Request, RequestResult, SamplingParams
from engine.runner import Runner
from engine.sampler import is_greedy, sample
from engine.scheduler import Scheduler
from engine.state import RequestState, RowState
from engine.tool_use import Tool, terminal_tokens
from engine.wave_runner import WaveRunner, seed_shape
from vocab.tokenizer import Tokenizer


@dataclasses.dataclass(slots=True)
class EngineStats:
    """Counts since the engine was made."""

    steps: int = 0
    tokens: int = 0
    """Tokens that rows took, forced ones included. One row takes at most one per step, so
    tokens / steps is the mean number of rows per step."""
    prompt_tokens: int = 0


class Engine:
    """Runs requests on a model.

    `model` has a packed forward (`engine.models.packed.PackedModel`) or nanochat's own interface
    (`forward(ids, kv_cache)`, `config`, `get_device()`). `tokenizer` is needed for tool use and for
    the tokens that end a row; without one, rows run to `max_tokens`. Not thread-safe.
    """

    def __init__(
        self, model: Any, tokenizer: Tokenizer | None, config: EngineConfig | None = None
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.config = config or EngineConfig()
        self.stats = EngineStats()
        self._terminal = terminal_tokens(tokenizer)
        self._states: dict[str, RequestState] = {}
        is_packed = isinstance(model, PackedModel)
        shape: ModelShape = model.shape if is_packed else seed_shape(model)
        _check_vocabulary(tokenizer, shape)
        self.kv_budget_tokens = self.config.kv_budget_tokens or default_budget(model, shape)
        self._runner: Runner = (
            PackedRunner(model, self.config.max_rows, self.kv_budget_tokens)
            if is_packed
            else WaveRunner(model, shape)
        )
        self._scheduler = Scheduler(
            self._runner,
            max_rows=self.config.max_rows,
            kv_budget_tokens=self.kv_budget_tokens,
            max_prefill_tokens=self.config.max_prefill_tokens,
            tool=Tool.of(tokenizer),
            terminal=self._terminal,
        )

    @property
    def has_work(self) -> bool:
        return self._scheduler.has_work

    @property
    def num_running_rows(self) -> int:
        return len(self._scheduler.running)

    @property
    def num_busy_rows(self) -> int:
        """Rows that run, and those of submitted requests that are still to start."""
        return self._scheduler.num_busy_rows

    @property
    def kv_tokens(self) -> int:
        """Tokens for which memory is allocated now; at most `kv_budget_tokens`."""
        return self._runner.kv_tokens

    def submit(self, request: Request) -> None:
        """Queue a request. Raises RequestError where this engine can never run it."""
        if request.id in self._states:
            raise SchedulingError(f"request {request.id!r} is already in the engine")
        state = RequestState(request, allowed_new_tokens(request, self._runner.shape, self.config))
        if not self._scheduler.fits_alone(state):
            raise RequestError(
                "max_tokens",
                f"one row of {state.num_prompt_tokens} prompt tokens and up to "
                f"{state.max_new_tokens} new ones needs more than the KV budget of "
                f"{self.kv_budget_tokens} tokens",
            )
        self._states[request.id] = state
        self._scheduler.add(state)

    @torch.inference_mode()  # rows are moved in caches that were made in it
    def cancel(self, request_id: str) -> bool:
        """Drop a request and its rows. False where the engine does not have it."""
        state = self._states.pop(request_id, None)
        if state is None:
            return False
        self._scheduler.cancel(state)
        self._runner.close(state)
        self._retire()
        return True

    @torch.inference_mode()
    def step(self) -> list[RequestResult]:
        """One turn: every running row takes one token. Returns the requests that are done."""
        for request in self._scheduler.admit():
            self._runner.open(request)
        logits_RV = self._forward()
        rows = self._scheduler.running
        self._append(rows, logits_RV)
        return self._retire()

    def generate(
        self,
        tokens: list[int],
        num_samples: int = 1,
        max_tokens: int | None = None,
        temperature: float = 1.0,
        top_k: int | None = None,
        seed: int = 42,
    ) -> Iterator[tuple[list[int], list[int]]]:
        """Stream one prompt's rows: per position a column of tokens and one of masks, by row.

        A mask is 1 for a sampled token and 0 for a forced one. A row that has ended repeats its
        last token with mask 0. It runs apart from submitted requests, on the same model. Raises
        RequestError before the first column.
        """
        params = SamplingParams(
            max_tokens=max_tokens, temperature=temperature, top_k=top_k, seed=seed
        )
        request = Request(
            id="generate", prompt_tokens=tokens, num_samples=num_samples, params=params
        )
        engine = Engine(self.model, self.tokenizer, self.config)
        engine.submit(request)
        return engine._columns(request.id)

    def generate_batch(
        self, tokens: list[int], num_samples: int = 1, **kwargs: Any
    ) -> tuple[list[list[int]], list[list[int]]]:
        """Whole rows and their masks, prompt included (mask 0), the token that ends a row not.

        Keyword arguments are those of `generate`.
        """
        columns = self.generate(tokens, num_samples, **kwargs)
        results = [list(tokens) for _ in range(num_samples)]
        masks = [[0] * len(tokens) for _ in range(num_samples)]
        completed = [False] * num_samples
        for token_column, mask_column in columns:
            for row, (token, mask) in enumerate(zip(token_column, mask_column, strict=True)):
                completed[row] = completed[row] or token in self._terminal
                if not completed[row]:
                    results[row].append(token)
                    masks[row].append(mask)
        return results, masks

    def _forward(self) -> Tensor:
        """Run the batch and start rows; logits `[rows, vocab]` of all rows, the new ones last."""
        chunks = self._scheduler.next_chunks()
        running = list(self._scheduler.running)
        logits_RV, prompt_logits_NV = self._runner.forward(running, chunks)
        ends = [chunk.request for chunk in chunks if chunk.is_last]
        for request, logits_V in zip(ends, prompt_logits_NV, strict=True):
            request.prompt_logits_V = logits_V.clone()
        self.stats.prompt_tokens += sum(chunk.end - chunk.start for chunk in chunks)
        started = self._scheduler.start_rows()
        for slot, row in enumerate(started, start=len(running)):
            self._runner.start(slot, row)
        first = [row.request.prompt_logits_V for row in started]
        new_logits = [logits_V for logits_V in first if logits_V is not None]
        if not new_logits:
            return logits_RV
        new_logits_RV = torch.stack(new_logits)
        return torch.cat([logits_RV, new_logits_RV]) if running else new_logits_RV

    def _append(self, rows: list[RowState], logits_RV: Tensor) -> None:
        """Every row takes its next token."""
        if not rows:
            return
        params = [row.request.params for row in rows]
        uniforms = [0.0 if is_greedy(row.request.params) else row.uniform() for row in rows]
        for row, token in zip(rows, sample(logits_RV, params, uniforms), strict=True):
            row.append(token)
        self.stats.steps += 1
        self.stats.tokens += len(rows)

    def _retire(self) -> list[RequestResult]:
        done, moves = self._scheduler.retire()
        self._runner.compact(moves, self.num_running_rows)
        for request in done:
            self._runner.close(request)
            del self._states[request.id]
        return [request.result() for request in done]

    def _columns(self, request_id: str) -> Iterator[tuple[list[int], list[int]]]:
        """Step until the request is done, yielding each position once all rows have it."""
        state = self._states[request_id]
        position = 0
        while self.has_work:
            self.step()
            while (column := _column(state, position)) is not None:
                yield column
                position += 1


def _column(state: RequestState, position: int) -> tuple[list[int], list[int]] | None:
    """All rows' tokens and masks at a position; None where some are missing or all have ended."""
    if state.num_pending or all(len(row.tokens) <= position for row in state.rows):
        return None
    tokens, masks = [], []
    for row in state.rows:
        if position < len(row.tokens):
            tokens.append(row.tokens[position])
            masks.append(row.masks[position])
        elif row.is_finished:
            tokens.append(row.tokens[-1])
            masks.append(0)
        else:
            return None
    return tokens, masks


def _check_vocabulary(tokenizer: Tokenizer | None, shape: ModelShape) -> None:
    """A token that is forced into a row must be one that the model can read."""
    size = getattr(tokenizer, "get_vocab_size", lambda: 0)()
    if shape.vocab_size is not None and size > shape.vocab_size:
        raise ModelError(
            f"the tokenizer has {size} tokens and the model {shape.vocab_size}: "
            "it is another model's tokenizer"
        )
