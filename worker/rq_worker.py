"""RqWorker: a worker as RQ knows it: its record, and the commands that it is sent."""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Mapping, Sequence
from typing import Any

import redis
from rq.command import parse_payload
from rq.worker import BaseWorker

from jobs import ModelCard, MsgpackSerializer
from worker.scripts import script

_RECONNECT_SECONDS = 1.0

log = logging.getLogger("rowmill.worker")


class RqWorker(BaseWorker):
    """`stops` holds the IDs of jobs that RQ's command channel tells to stop.

    `card`: what it serves; its record tells the fingerprint, and producers are told all.
    """

    def __init__(
        self,
        connection: redis.Redis,
        queues: Sequence[str],
        card: ModelCard,
        name: str | None = None,
    ) -> None:
        super().__init__(
            list(queues),
            name=name,
            connection=connection,
            serializer=MsgpackSerializer,
            worker_ttl=60,
        )
        self.stops: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._model = card.model or ""
        self._card = card.to_json()
        self._write_state = script(connection, "state")
        self._write_model = script(connection, "model")

    def publish(self, figures: Mapping[str, int | float | str], *, ttl: int) -> None:
        """Keep the record alive for so many seconds, with figures beside RQ's own fields.

        Raises redis.RedisError where the server can't be reached or refuses.
        """
        fields: dict[Any, Any] = {**self.serialize(), **figures}
        with self.connection.pipeline() as pipe:
            self.heartbeat(timeout=ttl, pipeline=pipe)
            pipe.hset(self.key, mapping=fields)
            self._write_state(self.name, client=pipe)  # the ledger keeps it, where there is one
            told = (self._model, self._card, ttl)
            self._write_model(self.name, *told, *self.queue_names(), client=pipe)
            pipe.sadd(self.redis_workers_keys, self.key)
            for name in self.queue_names():
                pipe.sadd(f"rq:workers:{name}", self.key)
            pipe.execute()

    def serialize(self) -> dict[str, Any]:
        """The fields of the record, from the worker's birth on."""
        return {**super().serialize(), "model": self._model}

    def register_death(self) -> None:
        """Sign off. Raises redis.RedisError where the server can't be reached or refuses."""
        super().register_death()  # type: ignore[no-untyped-call]
        with self.connection.pipeline() as pipe:
            for name in self.queue_names():
                pipe.zrem(f"rowmill:models:{name}", f"{self.name}:{self._model}")
                pipe.hdel(f"rowmill:cards:{name}", self.name)
            pipe.execute()

    def _set_connection(self, connection: redis.Redis) -> redis.Redis:
        """Keep the connection's own timeouts, which RQ would raise to minutes."""
        return connection

    def _pubsub_exception_handler(self, exc: Exception, pubsub: Any, pubsub_thread: Any) -> None:
        """RQ's would end the thread, and with it the commands, for what is no ConnectionError."""
        log.warning("can't listen for commands, will try again: %s", exc)
        time.sleep(_RECONNECT_SECONDS)

    def handle_payload(self, message: Any) -> None:
        """RQ's commands; those to stop find their job among all that run, not only the first."""
        try:
            payload = parse_payload(message)
            if payload.get("command") in ("stop-job", "stop-execution"):
                self.stops.put(str(payload.get("job_id")))
            else:
                super().handle_payload(message)  # type: ignore[no-untyped-call]
        except Exception as error:  # anybody may publish anything, and the next may be a command
            log.warning("not a command: %r", error)
