"""What the engine does where memory runs out in a step.

All rows go back to their prompts: started over, a row gets the same bits, where one that went on
from a torn cache might not. They run again within half of the memory, fewer at once. A request
that needs more than that runs when nothing else does, one row and one piece of its prompt at a
time. Only where it fails so, too, it is the request that does not fit.
"""

from __future__ import annotations

import dataclasses
import gc
import logging
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator
from functools import partial

import torch

from engine.kv_budget import KVBudget
from engine.out_of_memory import is_out_of_memory
from engine.runner import Runner
from engine.scheduler import Scheduler
from engine.state import RequestState
from engine.stats import EngineStats

_PAUSES = (0.1, 1.0, 4.0)
"""Seconds, before each further try of a request alone: something else may hold the memory."""
_SHOWN = 200

log = logging.getLogger("rowmill.engine")


class Recovery:
    def __init__(
        self,
        scheduler: Scheduler,
        runner: Runner,
        budget: KVBudget,
        stats: EngineStats,
        device: torch.device,
    ) -> None:
        self._scheduler = scheduler
        self._runner = runner
        self._budget = budget
        self._stats = stats
        self._device = device
        self._waited_for: RequestState | None = None
        self._pauses: Iterator[float] = iter(())
        """What is left of them for that request."""

    def attempt(self, turn: Callable[[], list[RequestState]]) -> list[RequestState]:
        """Take a turn of the engine, and return the requests that are done.

        Where memory ran out, everything starts over, and the only request that is done then is one
        that was found not to fit; its `failure` says why. Other exceptions are passed on.
        """
        has_work = self._scheduler.has_work
        try:
            done = turn()
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            reason = f"{type(error).__name__}: {error}".splitlines()[0][:_SHOWN]
        else:
            if has_work:
                self._budget.note_step(self._runner.kv_tokens)
            return done
        # Not before this line: the error's traceback holds the turn's tensors.
        return self._start_over(reason)

    def _start_over(self, reason: str) -> list[RequestState]:
        last_resort = self._scheduler.last_resort
        num_rows, wanted = len(self._scheduler.running), self._runner.kv_tokens
        self._scheduler.restart()
        self._free_memory()
        self._stats.memory_shortages += 1
        self._stats.restarted_rows += num_rows
        if last_resort is None:
            self._budget.shrink(wanted)
            log.warning(
                "out of memory with %d rows and %d tokens of KV cache: the rows start over, within "
                "%d tokens (%s)",
                *(num_rows, wanted, self._budget.tokens, reason),
            )
            return []
        if self._is_worth_another_try(last_resort):
            return []
        failure = self._why(last_resort)
        log.warning("request %s fails: %s (%s)", last_resort.id, failure, reason)
        self._scheduler.fail(last_resort, failure)
        return [last_resort]

    def _free_memory(self) -> None:
        gc.collect()  # a model of anybody's may keep tensors in cycles
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _is_worth_another_try(self, request: RequestState) -> bool:
        """Where as much has fitted before, it may be that something else holds the memory now:
        then wait for a moment, though not for ever."""
        if self._runner.cost_alone(request) > self._budget.most_held:
            return False
        if request is not self._waited_for:
            self._waited_for, self._pauses = request, iter(_PAUSES)
        pause = next(self._pauses, None)
        if pause is None:
            return False
        log.warning(
            "out of memory for request %s alone, where as much has fitted before: trying again in "
            "%g s",
            *(request.id, pause),
        )
        time.sleep(pause)
        return True

    def _why(self, request: RequestState) -> str:
        """What a request that failed alone needs, and what would fit."""
        num_prompt_tokens, most = request.num_prompt_tokens, request.max_new_tokens
        return (
            f"out of memory: {num_prompt_tokens} prompt tokens and up to {most} new ones, both "
            f"rounded up, need {self._cost(request, num_prompt_tokens, most)} tokens of KV cache, "
            f"also alone and one row at a time; {self._budget.most_held} have fitted so far, "
            f"{self._what_would_fit(request)}"
        )

    def _what_would_fit(self, request: RequestState) -> str:
        """By what has fitted: of its max_tokens after its prompt, else of its prompt."""
        num_prompt_tokens, held = request.num_prompt_tokens, self._budget.most_held
        costs = partial(self._cost, request, num_prompt_tokens)
        fitting = bisect_right(range(1, request.max_new_tokens + 1), held, key=costs)
        if fitting > 0:
            return f"enough for this prompt and a max_tokens of {fitting}"
        costs = partial(self._cost, request, max_new_tokens=1)
        fitting = bisect_right(range(1, num_prompt_tokens + 1), held, key=costs)
        return f"enough for a prompt of {fitting} tokens" if fitting > 0 else "enough for none"

    def _cost(self, request: RequestState, num_prompt_tokens: int, max_new_tokens: int) -> int:
        """Of one row of such a request alone, were its prompt so long."""
        prompt = request.request.prompt_tokens[:num_prompt_tokens]
        shorter = dataclasses.replace(request.request, prompt_tokens=prompt)
        return self._runner.cost_alone(RequestState(shorter, max_new_tokens))
