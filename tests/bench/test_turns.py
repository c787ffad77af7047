"""How engines take turns."""

from __future__ import annotations

from bench.config import BenchConfig
from bench.errors import BenchError
from bench.turns import take_turns
from bench.workload import Workload
from tests.bench.models import UNIFORM

CONFIG = BenchConfig(repeats=3, peer_repeats=1)


class FakePeer:
    def __init__(self, name: str, log: list[str], fails_at: int = 100) -> None:
        self.name = name
        self._log = log
        self._fails_at = fails_at

    def run(self, workload: Workload) -> int:
        if self._log.count(self.name) == self._fails_at:
            raise BenchError("out of breath")
        self._log.append(self.name)
        return sum(workload.row_lengths)


def test_engines_warm_up_and_then_take_turns_as_long_as_they_have_some() -> None:
    log: list[str] = []
    peers = [FakePeer(name, log) for name in ("rowmill", "transformers_generate", "floor")]
    turns = take_turns(UNIFORM, peers, CONFIG, lambda _: None)
    everyone, without_slow = [peer.name for peer in peers], ["rowmill", "floor"]
    assert log == everyone + everyone + without_slow + without_slow
    assert {name: len(speeds) for name, speeds in turns.speeds.items()} == {
        "rowmill": 3,
        "transformers_generate": 1,
        "floor": 3,
    }


def test_an_engine_that_fails_is_left_out_and_the_others_go_on() -> None:
    log: list[str] = []
    peers = [FakePeer("rowmill", log), FakePeer("sequential", log, fails_at=2)]
    turns = take_turns(UNIFORM, peers, CONFIG, lambda _: None)
    assert turns.speeds.keys() == {"rowmill"}
    assert turns.failed == {"sequential": "out of breath"}
    assert log.count("rowmill") == 1 + CONFIG.repeats
