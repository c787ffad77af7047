"""SampleStorm: `rowmill sample` until it is done, however often it and its fleet are killed."""

from __future__ import annotations

import dataclasses
import heapq
import itertools
import json
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
import pytest

from tests.integration.chaos.sample_command import SampleCommand
from worker.arithmetic import arithmetic_question
from worker.cli.reporting import Exit

_TURN_SECONDS = 0.02
_FLEETS = ((1, 8), (3, 64), (3, 8), (1, 64))
"""Workers and their most rows; each time another one, as neither is what decides bytes."""
_GIVEN_UP = Exit.FAILED
"""Where nothing serves the queue any more."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SamplePlan:
    """Times are in seconds: something is killed every so often on average, from a start on."""

    num_prompts: int
    num_samples: int
    seed: int
    worker_every: float = 5.0
    server_every: float = 8.0
    keeper_every: float = 10.0
    command_every: float = 15.0

    @classmethod
    def from_options(cls, config: pytest.Config) -> SamplePlan:
        return cls(
            num_prompts=config.getoption("--sample-prompts"),
            num_samples=config.getoption("--sample-rows"),
            seed=config.getoption("--sample-seed"),
        )


def write_prompts(path: Path, number: int, seed: int) -> Path:
    """Arithmetic questions, as JSON lines."""
    rng = random.Random(seed)
    lines = [{"id": f"q{n}", "prompt": arithmetic_question(rng).text} for n in range(number)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def fleet(workers: int, max_rows: int) -> Sequence[str]:
    return ("--workers", str(workers), "--max-rows", str(max_rows), "--threads", "1")


class SampleStorm:
    """`counts`: what was killed, by kind, and how often the command was started."""

    def __init__(self, plan: SamplePlan, start: Callable[..., SampleCommand]) -> None:
        """`start` starts the command, with the arguments for its fleet and others."""
        self._plan = plan
        self._start = start
        self._rng = random.Random(plan.seed)
        self._fleets = itertools.cycle(_FLEETS)
        self._order = itertools.count()
        self._due: list[tuple[float, int, Callable[[SampleCommand], None]]] = []
        self.counts: Counter[str] = Counter()

    def run(self, *arguments: str) -> None:
        """Until the command ends well."""
        while not self._is_done(arguments):
            pass

    def _is_done(self, arguments: Sequence[str]) -> bool:
        self.counts["starts"] += 1
        command = self._start(*fleet(*next(self._fleets)), *arguments)
        plan = self._plan
        self._due.clear()
        self._every(plan.worker_every, "workers", SampleCommand.workers)
        self._every(plan.server_every, "servers", SampleCommand.servers)
        self._every(plan.keeper_every, "keepers", SampleCommand.keepers)
        ends_at = time.monotonic() + plan.command_every * self._rng.uniform(0.5, 1.5)
        while command.exit_code is None:
            while self._due[0][0] < time.monotonic():
                heapq.heappop(self._due)[2](command)
            if time.monotonic() > ends_at:
                command.kill()
                self.counts["samplers"] += 1
            time.sleep(_TURN_SECONDS)
        # SIGKILL; or the server was killed in the moment in which the run began.
        assert command.exit_code in (0, _GIVEN_UP, Exit.NO_SERVER, -signal.SIGKILL), command.log
        if command.exit_code == _GIVEN_UP:
            assert "died" in command.log.splitlines()[-2], command.log
            self.counts["fleets given up"] += 1
        return command.exit_code == 0

    def _every(
        self, seconds: float, kind: str, victims: Callable[[SampleCommand], list[psutil.Process]]
    ) -> None:
        def deed(command: SampleCommand) -> None:
            if there := victims(command):
                self._rng.choice(there).kill()
                self.counts[kind] += 1
            self._every(seconds, kind, victims)

        at = time.monotonic() + seconds * self._rng.uniform(0.5, 1.5)
        heapq.heappush(self._due, (at, next(self._order), deed))
