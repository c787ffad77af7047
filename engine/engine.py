"""The engine: continuous batching over many requests, and nanochat's interface on top of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import torch

from engine.columns import column_of, stream_request
from engine.config import EngineConfig
from engine.controls.compiled import ControlsCompiler
from engine.errors import EngineError, RequestError, SchedulingError
from engine.generation_defaults import GenerationDefaults
from engine.kv_budget import KVBudget
from engine.limits import allowed_new_tokens, check_vocabulary, end_tokens
from engine.memory import default_budget
from engine.models.packed import ModelShape, is_packed
from engine.next_tokens import append_tokens
from engine.packed_runner import PackedRunner
from engine.probe import probe
from engine.prompt_logits import keep_prompt_logits, with_first_logits
from engine.provenance import Provenance
from engine.recovery import Recovery
from engine.request import Request, RequestResult, RowDelta
from engine.runner import Runner
from engine.scheduler import Scheduler
from engine.state import RequestState
from engine.stats import EngineStats
from engine.tool_use import Tool
from engine.wave_runner import WaveRunner, seed_shape
from vocab.tokenizer import Tokenizer


class Engine:
    """Runs requests on a model.

    `model` has a packed forward (`engine.models.packed.PackedModel`) or nanochat's own interface
    (`forward(ids, kv_cache)`, `config`, `get_device()`). `tokenizer` is needed for tool use and for
    the tokens that end a row, where the model does not name them; without either, rows run to
    `max_tokens`. Not thread-safe.
    """

    def __init__(
        self, model: Any, tokenizer: Tokenizer | None, config: EngineConfig | None = None
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.config = config or EngineConfig()
        self.stats = EngineStats()
        self._states: dict[str, RequestState] = {}
        self._streaming: set[str] = set()
        self._unread: list[RequestResult] = []
        self._is_broken = False
        shape: ModelShape = model.shape if is_packed(model) else seed_shape(model)
        check_vocabulary(tokenizer, shape)
        ends = end_tokens(model, tokenizer, shape)
        self._controls = ControlsCompiler(shape.vocab_size, tokenizer, ends)
        verdict = probe(
            model, self.config.max_rows, self.config.max_prefill_tokens, self.config.row_tile
        )
        verdict.report()
        row_tile = verdict.policy.row_tile
        self._defaults: GenerationDefaults = getattr(
            model, "generation_defaults", GenerationDefaults()
        )
        self.provenance = Provenance.of(model, verdict)
        """What every result of this engine carries."""
        self._budget = KVBudget(self.config.kv_budget_tokens or default_budget(model, shape))
        self._runner: Runner = (
            PackedRunner(
                model,
                self.config.max_rows,
                self._budget,
                row_tile,
                keeps_prefixes=self.config.prefix_cache,
            )
            if is_packed(model)
            else WaveRunner(model, shape, row_tile)
        )
        self._scheduler = Scheduler(
            self._runner,
            max_rows=self.config.max_rows,
            budget=self._budget,
            max_prefill_tokens=self.config.max_prefill_tokens,
            tool=Tool.of(tokenizer),
            stats=self.stats,
        )
        self._recovery = Recovery(
            self._scheduler,
            self._runner,
            self._budget,
            self.stats,
            torch.device(model.get_device()),
        )

    @property
    def shape(self) -> ModelShape:
        """What the model can take."""
        return self._runner.shape

    @property
    def is_invariant(self) -> bool:
        """Whether the promise of equal bits was found to hold for this model on this machine."""
        return self.provenance.reproducible

    @property
    def has_work(self) -> bool:
        """Whether a step has something to do or to return."""
        return bool(self._scheduler.has_work or self._unread)

    @property
    def num_running_requests(self) -> int:
        """Requests that were admitted and are not done; others wait for rows or memory."""
        return self._scheduler.num_active

    @property
    def num_running_rows(self) -> int:
        return len(self._scheduler.running)

    @property
    def num_busy_rows(self) -> int:
        """Rows that run, and those of submitted requests that are still to start."""
        return self._scheduler.num_busy_rows

    @property
    def kv_budget_tokens(self) -> int:
        """The present KV budget: the configured one, or less after memory ran out in a step."""
        return self._budget.tokens

    @property
    def kv_tokens(self) -> int:
        """Tokens for which memory is allocated now, for the prefix cache, too; at most
        `kv_budget_tokens`, unless a request that needs more than a shrunk budget runs alone. While
        a cache is resized, its old and its new tensor are held at once."""
        return self._runner.kv_tokens

    @property
    def cached_kv_tokens(self) -> int:
        """Of `kv_tokens`, those that only the prefix cache keeps. Requests never wait for them:
        their memory is taken whenever one needs it."""
        return self._runner.cached_tokens

    def submit(self, request: Request) -> None:
        """Queue a request. Raises RequestError where this engine can never run it."""
        self._add(self._state_of(request))

    @torch.inference_mode()  # rows are moved in caches that were made in it
    def cancel(self, request_id: str) -> bool:
        """Drop a request and its rows. False where the engine does not have it."""
        state = self._states.pop(request_id, None)
        if state is None:
            return False
        self._scheduler.cancel(state)
        self._scheduler.retire()
        return True

    @torch.inference_mode()
    def step(self) -> list[RequestResult]:
        """One turn: every running row takes one token. Returns the requests that are done.

        Where memory runs out, all rows start over, with less at once; a request that does not even
        fit alone is done then, with an `error` that says what would fit. After any other
        exception, of the model or the device, rows may be torn: the engine is of no more use, and
        every further step raises SchedulingError.
        """
        if self._is_broken:
            raise SchedulingError("a step of this engine has failed; make a new one")
        self._is_broken = True
        results = self._results(self._recovery.attempt(self._turn))
        self._is_broken = False
        results, self._unread = self._unread + results, []
        return results

    def deltas(self, request_id: str) -> list[RowDelta]:
        """What is new of a request's rows since the last call: each token once, when nothing can
        take it back any more, and how rows ended.

        The request asked for it with `stream`; the rest comes with its result. Where rows start
        over, they are told on from where they were.
        """
        state = self._states.get(request_id)
        return [] if state is None else state.new_deltas()

    def _turn(self) -> list[RequestState]:
        """Admit, run the model, sample, retire. Returns the requests that are done."""
        self._scheduler.admit()
        chunks = self._scheduler.next_chunks()
        running = list(self._scheduler.running)
        logits_RV, logits_of_chunks = self._runner.forward(running, chunks)
        keep_prompt_logits(chunks, logits_of_chunks)
        self.stats.prompt_tokens += sum(chunk.end - chunk.start for chunk in chunks)
        started = self._scheduler.start_rows()
        rows = running + started
        append_tokens(rows, with_first_logits(logits_RV, started))
        self._scheduler.note_started(started)
        self.stats.steps += bool(rows)
        self.stats.tokens += len(rows)
        return self._scheduler.retire()

    def generate(
        self,
        tokens: list[int],
        num_samples: int = 1,
        max_tokens: int | None = None,
        temperature: float = 1.0,
        top_k: int | None = None,
        seed: int = 42,
        **controls: Any,
    ) -> Iterator[tuple[list[int], list[int]]]:
        """Stream one prompt's rows: per position a column of tokens and one of masks, by row.

        A mask is 1 for a sampled token and 0 for a forced one. A row that has ended repeats its
        last token with mask 0. A token that may yet turn out to belong to a stop string is held
        back until that is known. `max_tokens` is a ceiling here, as in nanochat: rows end with the
        context at the latest. `controls` are further fields of SamplingParams. Submitted requests
        share the batch; those that finish meanwhile are returned by the next `step`. Raises
        RequestError at once.
        """
        asked = {"max_tokens": max_tokens, "temperature": temperature, "top_k": top_k, "seed": seed}
        return self._columns(self._stream_of(tokens, num_samples, **asked, **controls))

    def generate_batch(
        self, tokens: list[int], num_samples: int = 1, **kwargs: Any
    ) -> tuple[list[list[int]], list[list[int]]]:
        """Whole rows and their masks, prompt included (mask 0), the token that ends a row not.

        Keyword arguments are those of `generate`.
        """
        state = self._stream_of(tokens, num_samples, **{"temperature": 1.0, "seed": 42, **kwargs})
        for _ in self._columns(state):
            pass
        ends = [len(row.tokens) - row.is_ended_by_token for row in state.rows]
        rows = list(zip(state.rows, ends, strict=True))
        return (
            [[*tokens, *row.tokens[:end]] for row, end in rows],
            [[0] * len(tokens) + row.masks[:end] for row, end in rows],
        )

    def _stream_of(self, tokens: list[int], num_samples: int, **params: Any) -> RequestState:
        asked = stream_request(tokens, num_samples, params, self._runner.shape.max_seq_len)
        return self._state_of(asked)

    def _state_of(self, request: Request) -> RequestState:
        """Check a request against the model, the limits and the KV budget."""
        request = dataclasses.replace(request, params=self._defaults.fill(request.params))
        max_new_tokens = allowed_new_tokens(request, self._runner.shape, self.config)
        controls = self._controls.compile(request, max_new_tokens)
        state = RequestState(request, max_new_tokens, controls)
        if self._scheduler.fits_alone(state):
            return state
        is_prompt = not self._scheduler.fits_alone(RequestState(request, 1))
        raise RequestError(
            "prompt_tokens" if is_prompt else "max_tokens",
            f"{state.num_prompt_tokens} prompt tokens and up to {max_new_tokens} new ones, both "
            f"rounded up, need more than the KV budget of {self._budget.most} tokens",
        )

    def _add(self, state: RequestState) -> None:
        if state.id in self._states:
            raise SchedulingError(f"request {state.id!r} is already in the engine")
        self._states[state.id] = state
        self._scheduler.add(state)

    def _results(self, done: list[RequestState]) -> list[RequestResult]:
        """Of requests that leave; those of streams are read there."""
        for request in done:
            del self._states[request.id]
        return [
            request.result(self.provenance) for request in done if request.id not in self._streaming
        ]

    def _columns(self, state: RequestState) -> Iterator[tuple[list[int], list[int]]]:
        """Step until the request is done, yielding each position once all rows have it."""
        self._add(state)
        self._streaming.add(state.id)
        position = 0
        try:
            while True:
                if error := state.error:
                    raise EngineError(error)
                if (column := column_of(state, position)) is not None:
                    yield column
                    position += 1
                elif state.num_unfinished:
                    self._unread = self.step()
                else:
                    return
        finally:
            self.cancel(state.id)
            self._streaming.remove(state.id)
