"""A producer sees which models serve its queue before it pushes."""

from __future__ import annotations

import redis

from jobs import Client, ModelCard
from tests.waiting import until
from worker.rq_worker import RqWorker


def test_the_models_of_a_queue_are_those_of_its_living_workers(
    connection: redis.Redis, client: Client, queue: str
) -> None:
    assert client.worker_models() == {}
    models = ["f" * 64, "f" * 64, None]
    cards = [ModelCard(model=model, context_length=512, max_rows=8) for model in models]
    workers = [RqWorker(connection, [queue, "another"], card) for card in cards]
    for worker in workers:
        worker.register_birth()  # type: ignore[no-untyped-call]
        worker.publish({}, ttl=60)
    known = {worker.name: model for worker, model in zip(workers, models, strict=True)}
    assert client.worker_models() == known
    names = [worker.name for worker in workers]
    assert client.worker_cards() == dict(zip(names, cards, strict=True))
    with Client(connection, "another") as other, Client(connection, "third") as third:
        assert (other.worker_models(), third.worker_models()) == (known, {})
    assert connection.hget(workers[0].key, "model") == b"f" * 64
    assert connection.hget(workers[2].key, "model") == b""

    workers[0].register_death()
    workers[1].publish({}, ttl=1)  # its last
    until(lambda: client.worker_models() == {workers[2].name: None}, what="the others to be gone")
    assert client.worker_cards() == {workers[2].name: cards[2]}
    workers[2].publish({}, ttl=60)
    assert connection.hkeys(f"rowmill:cards:{queue}") == [workers[2].name.encode()]
    workers[2].register_death()
    assert not connection.exists(f"rowmill:cards:{queue}")
