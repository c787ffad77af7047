"""Which requests and rows run. Holds no tensors: the runner does, and hears what comes and goes.

A request waits, is admitted (its prompt is prefilled), starts its rows as slots come free, and is
done with its last row. First come, first served, so nothing starves. Memory is reserved for the
worst case before anything starts, so nothing that was admitted can outgrow the budget. Where the
budget is more than there is, everything starts over within a smaller one (engine.recovery); what
needs more than that is admitted when nothing else is, as the last resort.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections import OrderedDict
from functools import partial

from engine.kv_budget import KVBudget
from engine.row_state import RowState
from engine.runner import Chunk, Runner
from engine.state import RequestState
from engine.stats import EngineStats
from engine.tool_use import Tool


class Scheduler:
    def __init__(
        self,
        runner: Runner,
        *,
        max_rows: int,
        budget: KVBudget,
        max_prefill_tokens: int,
        tool: Tool | None,
        stats: EngineStats,
    ) -> None:
        self._runner = runner
        self._max_rows = max_rows
        self._budget = budget
        self._max_prefill_tokens = max_prefill_tokens
        self._tool = tool
        self._stats = stats
        self._waiting: OrderedDict[str, RequestState] = OrderedDict()
        """In their order; unlike a dict, it finds its first one at once, however many have left."""
        self._active: dict[str, RequestState] = {}
        self.running: list[RowState] = []
        """The rows in the batch; a row's index here is its slot."""
        self._num_pending = 0
        """Rows that are still to start, of all requests."""

    @property
    def num_busy_rows(self) -> int:
        """Rows that run or are still to start."""
        return len(self.running) + self._num_pending

    @property
    def num_active(self) -> int:
        """Requests that were admitted and are not done."""
        return len(self._active)

    @property
    def has_work(self) -> bool:
        return bool(self._waiting or self._active)

    def fits_alone(self, request: RequestState) -> bool:
        """Whether it could run, within the configured budget, if nothing else did."""
        return self._runner.cost_alone(request) <= self._budget.most

    @property
    def last_resort(self) -> RequestState | None:
        """The request that runs although it needs more than the budget: then nothing else does,
        and it gets one row, or one piece of its prompt, at a time."""
        if len(self._active) != 1:
            return None
        (request,) = self._active.values()
        return request if self._runner.cost_alone(request) > self._budget.tokens else None

    def add(self, request: RequestState) -> None:
        self._waiting[request.id] = request
        self._num_pending += request.num_pending

    def admit(self) -> None:
        """Requests leave the queue while they have a free row to run in and their memory fits.

        Beside that of all rows which were admitted before and are to start: prompts that were
        admitted ahead would only take the room in which these could run.
        """
        num_claimed = len(self.running) + sum(its.num_pending for its in self._active.values())
        while self._waiting and num_claimed < self._max_rows:
            request = next(iter(self._waiting.values()))
            num_rows = num_claimed - len(self.running) + 1
            if self._active and self._runner.cost(request, num_rows) > self._budget.tokens:
                break
            self._active[request.id] = request
            del self._waiting[request.id]
            self._runner.open(request)
            if request.admitted_at is None:
                request.admitted_at = time.monotonic()
            num_claimed += request.num_pending

    def next_chunks(self) -> list[Chunk]:
        """The pieces of prompts to prefill in this step, oldest request first.

        A prompt takes from the prefix cache what is there. Where an older request computes in this
        very step what it needs next, it waits: it will find that there in the next. Nobody waits
        for longer than others compute for it, whatever becomes of them, and the oldest never does.
        """
        chunks: list[Chunk] = []
        coming: set[bytes] = set()
        room = self._max_prefill_tokens if self.last_resort is None else 1
        for request in self._active.values():
            if room <= 0:
                break
            if request.num_prefilled == request.num_prompt_tokens:
                continue
            num_cached = self._runner.reuse(request)
            request.num_prefilled += num_cached
            self._stats.cached_prompt_tokens += num_cached
            if self._runner.next_block(request) in coming:
                continue
            while room > 0 and request.num_prefilled < request.num_prompt_tokens:
                start = request.num_prefilled
                end = min(start + self._runner.prefill_chunk, request.num_prompt_tokens)
                chunks.append(Chunk(request, start, end))
                request.num_prefilled = end
                coming.update(self._runner.blocks_of(chunks[-1]))
                room -= end - start
                if request.params.return_prompt_logprobs:
                    return chunks  # of all its tokens logits are made: one such chunk at a time
        return chunks

    def start_rows(self) -> list[RowState]:
        """Rows of prefilled requests that join the batch now, at its end, in their order."""
        first = len(self.running)
        for request in self._active.values():
            wanted = min(request.num_pending, self._max_rows - len(self.running))
            if request.prompt_logits_V is None or wanted == 0:
                continue
            fitting = self._num_fitting(request, wanted)
            if fitting > 0:
                self._start(request, fitting)
            if fitting < wanted:
                break  # later requests must not overtake
        return self.running[first:]

    def note_started(self, rows: list[RowState]) -> None:
        """These have their first token."""
        self._stats.started_rows += len(rows)
        now = time.monotonic()
        for row in rows:
            if row.request.first_token_at is None:
                row.request.first_token_at = now

    def retire(self) -> list[RequestState]:
        """Finished rows leave, and with the last one its request. Returns those that are done."""
        done: list[RequestState] = []
        for row in self.running:
            request = row.request
            if row.finish_reason is not None and not request.is_cancelled:
                request.num_unfinished -= 1
                if request.num_unfinished == 0:
                    done.append(request)
        self._compact()
        for request in done:
            self._runner.close(request)
        for request in done:  # last: where memory runs out above, they must not be lost
            del self._active[request.id]
        return done

    def cancel(self, request: RequestState) -> None:
        """Take a request out, wherever it stands; its rows leave at the next `retire`."""
        request.is_cancelled = True
        self._num_pending -= request.num_pending
        if self._active.pop(request.id, None) is None:
            del self._waiting[request.id]
        self._runner.close(request)

    def restart(self) -> None:
        """Everything waits again, in the order in which it came, and holds no memory.

        Wherever the step broke off. Of a request's rows, the first ones that are finished stay.
        """
        self._runner.reset()
        self.running = []
        for request in self._active.values():
            request.restart()
        self._waiting = OrderedDict(self._active | self._waiting)
        self._active = {}
        self._num_pending = sum(request.num_pending for request in self._waiting.values())

    def fail(self, request: RequestState, failure: str) -> None:
        """Take out a request that waits and can't be run."""
        request.failure = failure
        self._num_pending -= request.num_pending
        del self._waiting[request.id]

    def _compact(self) -> None:
        """Rows from the tail take the slots of finished ones."""
        running = self.running
        moves: list[tuple[int, int]] = []
        slot = 0
        while slot < len(running):
            if not running[slot].is_finished:
                slot += 1
                continue
            last = running.pop()
            if slot < len(running) and not last.is_finished:
                running[slot] = last
                moves.append((len(running), slot))
        self._runner.compact(moves, len(running))

    def _num_fitting(self, request: RequestState, wanted: int) -> int:
        """How many of so many more rows of a request can start with the memory there is.

        One can where nothing runs: it fits, or its request is the last resort.
        """
        cost = partial(self._runner.cost, request)
        fitting = bisect_right(range(1, wanted + 1), self._budget.tokens, key=cost)
        return fitting if self.running else max(fitting, 1)

    def _start(self, request: RequestState, num_rows: int) -> None:
        first = request.next_index
        rows = [RowState(request, first + n, self._tool) for n in range(num_rows)]
        request.rows += rows
        self.running += rows
        self._num_pending -= num_rows
        self._runner.start(rows)
