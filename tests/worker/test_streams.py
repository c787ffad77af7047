"""Jobs that stream tell all of their tokens, by turns, and no more often than they should."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import pytest

from engine import Engine, EngineConfig, Request, RowDelta, SamplingParams
from engine.models import load_model
from worker.claim import Claim
from worker.config import ConfigError, WorkerConfig
from worker.stream_publisher import StreamPublisher
from worker.streams import Streams


@pytest.fixture(scope="module")
def engine() -> Engine:
    model, _ = load_model("demo")
    return Engine(model, None)  # without a tokenizer rows run to max_tokens


class Reader(StreamPublisher):
    """Stands where the publisher does, and may be busy."""

    def __init__(self) -> None:
        self.told: dict[str, list[Sequence[RowDelta]]] = defaultdict(list)
        self.is_busy = False
        self.room = 10**6

    @property
    def is_ready(self) -> bool:
        return not self.is_busy

    @property
    def has_room(self) -> bool:
        return self.room > 0

    def put(self, claim: Claim, deltas: Sequence[RowDelta]) -> None:
        self.told[claim.execution_id].append(deltas)
        self.room -= 1

    def sizes(self, name: str) -> list[list[int]]:
        return [[len(delta.tokens) for delta in deltas] for deltas in self.told[name]]


def claim(name: str) -> Claim:
    its: dict[str, Any] = {"payload": b"", "timeout": None, "deadline": None, "created_at": None}
    its |= {"claimed_at": 0.0, "is_alone": False}
    return Claim(queue="q", job_id=name, execution_id=name, **its)


def submit(engine: Engine, streams: Streams, *names: str, max_tokens: int = 9) -> None:
    for name in names:
        params = SamplingParams(max_tokens=max_tokens)
        engine.submit(Request(id=name, prompt_tokens=[1, 2], params=params, stream=True))
        streams.add(claim(name))


def step(engine: Engine, streams: Streams) -> None:
    results = engine.step()
    streams.tell()
    for result in results:
        streams.end(claim(result.request_id), result)


def run(engine: Engine, streams: Streams) -> None:
    while engine.has_work:
        step(engine, streams)


def test_without_an_interval_every_token_is_told_at_once(engine: Engine) -> None:
    reader = Reader()
    streams = Streams(engine, reader, 0, 100)
    submit(engine, streams, "a", "b", max_tokens=4)
    run(engine, streams)
    assert reader.sizes("a") == reader.sizes("b") == [[1], [1], [1], [1]]


def test_the_first_token_comes_at_once_and_others_by_many(engine: Engine) -> None:
    reader = Reader()
    streams = Streams(engine, reader, 3600, 3)
    submit(engine, streams, "a", max_tokens=9)
    step(engine, streams)
    submit(engine, streams, "b", max_tokens=5)
    run(engine, streams)
    assert reader.sizes("a") == [[1], [3], [3], [2]]
    assert reader.sizes("b") == [[1], [3], [1]]


def test_of_too_many_each_has_its_first_token_at_once_and_loses_none(engine: Engine) -> None:
    reader = Reader()
    streams = Streams(engine, reader, 0, 100, most_per_second=1e-9)
    submit(engine, streams, *"abc")
    run(engine, streams)
    assert reader.sizes("a") == reader.sizes("b") == reader.sizes("c") == [[1], [8]]


def test_a_job_of_many_rows_is_told_as_seldom_as_many_jobs() -> None:
    """It takes the steps as much time."""
    model, _ = load_model("demo")
    engine, reader = Engine(model, None, EngineConfig(max_rows=256)), Reader()
    streams = Streams(engine, reader, 0, 100, most_per_second=16)
    params = SamplingParams(max_tokens=4)
    engine.submit(
        Request(id="a", prompt_tokens=[1, 2], num_samples=256, params=params, stream=True)
    )
    streams.add(claim("a"))
    run(engine, streams)
    assert reader.sizes("a") == [[1] * 256, [3] * 256]


def test_while_nothing_can_be_told_the_engine_keeps_it(engine: Engine) -> None:
    reader = Reader()
    streams = Streams(engine, reader, 0, 100)
    submit(engine, streams, "a")
    step(engine, streams)
    reader.is_busy = True
    for _ in range(4):
        step(engine, streams)
    reader.is_busy = False
    step(engine, streams)
    reader.room = 0
    step(engine, streams)
    reader.room = 10
    run(engine, streams)
    assert reader.sizes("a") == [[1], [5], [2], [1]]


@pytest.mark.parametrize(
    ("field", "value"), [("stream_interval", -1), ("stream_tokens", 0), ("stream_chunks", 0)]
)
def test_a_bad_setting_is_named(field: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"{field} must be .* not {value}"):
        WorkerConfig(model="demo", redis_url="", engine=EngineConfig(), **{field: value})


def test_a_job_that_is_not_ours_any_more_tells_nothing(engine: Engine) -> None:
    reader = Reader()
    streams = Streams(engine, reader, 0, 100)
    submit(engine, streams, "a", "b")
    step(engine, streams)
    engine.cancel("a")
    streams.forget("a")
    run(engine, streams)
    assert len(reader.told["a"]) == 1 and len(reader.told["b"]) == 9
