"""A producer sees which models serve its queue before it pushes."""

from __future__ import annotations

import redis

from jobs import Client
from tests.waiting import until
from worker.rq_worker import RqWorker


def test_the_models_of_a_queue_are_those_of_its_living_workers(
    connection: redis.Redis, client: Client, queue: str
) -> None:
    assert client.worker_models() == {}
    models = ["f" * 64, "f" * 64, None]
    workers = [RqWorker(connection, [queue, "another"], model) for model in models]
    for worker in workers:
        worker.register_birth()  # type: ignore[no-untyped-call]
        worker.publish({}, ttl=60)
    known = {worker.name: model for worker, model in zip(workers, models, strict=True)}
    assert client.worker_models() == known
    with Client(connection, "another") as other, Client(connection, "third") as third:
        assert (other.worker_models(), third.worker_models()) == (known, {})
    assert connection.hget(workers[0].key, "model") == b"f" * 64
    assert connection.hget(workers[2].key, "model") == b""

    workers[0].register_death()
    workers[1].publish({}, ttl=1)  # its last
    until(lambda: client.worker_models() == {workers[2].name: None}, what="the others to be gone")
