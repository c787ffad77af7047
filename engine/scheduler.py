"""Which requests and rows run. Holds no tensors; the engine does what it decides.

A request waits, is admitted (its prompt is prefilled), starts its rows as slots come free, and is
done with its last row. First come, first served, so nothing starves. Memory is reserved for the
worst case before anything starts, so nothing that was admitted can run out of it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque

from engine.runner import Chunk, Runner
from engine.state import RequestState, RowState
from engine.tool_use import Tool


class Scheduler:
    def __init__(
        self,
        runner: Runner,
        *,
        max_rows: int,
        kv_budget_tokens: int,
        max_prefill_tokens: int,
        tool: Tool | None,
        terminal: frozenset[int],
    ) -> None:
        self._runner = runner
        self._max_rows = max_rows
        self._budget = kv_budget_tokens
        self._max_prefill_tokens = max_prefill_tokens
        self._tool = tool
        self._terminal = terminal
        self._waiting: deque[RequestState] = deque()
        self._active: dict[str, RequestState] = {}
        self.running: list[RowState] = []
        """The rows in the batch; a row's index here is its slot."""

    @property
    def num_busy_rows(self) -> int:
        """Rows that run or are still to start."""
        waiting = sum(request.num_pending for request in self._waiting)
        return len(self.running) + waiting + self._num_pending

    @property
    def has_work(self) -> bool:
        return bool(self._waiting or self._active)

    def fits_alone(self, request: RequestState) -> bool:
        """Whether it could run if nothing else did."""
        return self._runner.cost([request], {}) <= self._budget

    def add(self, request: RequestState) -> None:
        self._waiting.append(request)

    def admit(self) -> list[RequestState]:
        """Requests leave the queue while they have a free row to run in and their memory fits."""
        admitted: list[RequestState] = []
        num_claimed = self._num_pending
        while self._waiting and len(self.running) + num_claimed < self._max_rows:
            request = self._waiting[0]
            requests = [*self._active.values(), request]
            if self._runner.cost(requests, {request: 1}) > self._budget:
                break
            self._waiting.popleft()
            self._active[request.id] = request
            num_claimed += request.num_pending
            admitted.append(request)
        return admitted

    def next_chunks(self) -> list[Chunk]:
        """The pieces of prompts to prefill in this step, oldest request first."""
        chunks: list[Chunk] = []
        room = self._max_prefill_tokens
        for request in self._active.values():
            while room > 0 and request.num_prefilled < request.num_prompt_tokens:
                start = request.num_prefilled
                end = min(start + self._runner.prefill_chunk, request.num_prompt_tokens)
                chunks.append(Chunk(request, start, end))
                request.num_prefilled = end
                room -= end - start
        return chunks

    def start_rows(self) -> list[RowState]:
        """Rows of prefilled requests that join the batch now, at its end, in their order."""
        counts: dict[RequestState, int] = {}
        num_free = self._max_rows - len(self.running)
        for request in self._active.values():
            wanted = min(request.num_pending, num_free)
            if request.prompt_logits_V is None or wanted == 0:
                continue
            counts[request] = self._num_fitting(counts, request, wanted)
            num_free -= counts[request]
            if counts[request] < wanted:
                break  # later requests must not overtake
        started = [row for request, count in counts.items() for row in self._start(request, count)]
        self.running += started
        return started

    def retire(self) -> tuple[list[RequestState], list[tuple[int, int]]]:
        """Finished rows leave; rows from the tail take their slots.

        Returns the requests that are done and the moves (from slot, to slot), in order.
        """
        moves: list[tuple[int, int]] = []
        done: list[RequestState] = []
        running = self.running
        for row in running:
            request = row.request
            if row.finish_reason is not None and not request.is_cancelled:
                request.num_unfinished -= 1
                if request.num_unfinished == 0:
                    done.append(self._active.pop(request.id))
        slot = 0
        while slot < len(running):
            if not running[slot].is_finished:
                slot += 1
                continue
            last = running.pop()
            if slot < len(running) and not last.is_finished:
                running[slot] = last
                moves.append((len(running), slot))
        return done, moves

    def cancel(self, request: RequestState) -> None:
        """Take a request out, wherever it stands; its rows leave at the next `retire`."""
        request.is_cancelled = True
        if self._active.pop(request.id, None) is None:
            self._waiting.remove(request)

    @property
    def _num_pending(self) -> int:
        return sum(request.num_pending for request in self._active.values())

    def _start(self, request: RequestState, count: int) -> list[RowState]:
        first = len(request.rows)
        rows = [
            RowState(request, index, self._tool, self._terminal)
            for index in range(first, first + count)
        ]
        request.rows += rows
        return rows

    def _num_fitting(
        self, starting: dict[RequestState, int], request: RequestState, wanted: int
    ) -> int:
        """How many rows of a request can start, beside those that do, with the memory there is."""
        requests = list(self._active.values())

        def cost(number: int) -> int:
            return self._runner.cost(requests, {**starting, request: number})

        return bisect_right(range(1, wanted + 1), self._budget, key=cost)
