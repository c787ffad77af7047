"""Dispatcher: claims webhooks, sends each in its host's turn, and says what became of it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Coroutine, Sequence

import redis

from gateway.webhooks.back_off import BackOff
from gateway.webhooks.config import WebhooksConfig
from gateway.webhooks.counters import WebhookCounters
from gateway.webhooks.event import Event
from gateway.webhooks.host_line import HostLine
from gateway.webhooks.outbox import Claimed, Outbox, Verdict
from gateway.webhooks.poster import Answer, ForbiddenHostError, NoAnswerError, Poster
from gateway.webhooks.secrets_file import SecretsFile
from gateway.webhooks.signature import signed_headers
from jobs.errors import brief

_GONE = 410
_RETRY_SECONDS = 1.0
_LONGEST_PAUSE = 8.0

log = logging.getLogger("rowmill.webhooks")


class Dispatcher:
    """Sends until it is told to stop, on one event loop.

    No log line has a webhook's URL, which may hold a token: it has the job's ID and the host.
    """

    def __init__(
        self,
        config: WebhooksConfig,
        outbox: Outbox,
        poster: Poster,
        secrets: SecretsFile,
        counters: WebhookCounters,
    ) -> None:
        self._config = config
        self._outbox = outbox
        self._poster = poster
        self._secrets = secrets
        self._counters = counters
        self._back_off = BackOff(config.first_retry, config.longest_retry, random.Random())
        self._lines: dict[str, HostLine] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._pause = _RETRY_SECONDS

    def stop(self) -> None:
        """Claim nothing more. What is being sent is finished, what waits goes back."""
        self._stopping.set()

    async def run(self) -> None:
        """Until `stop`; then until what was under way has ended. Where it is cancelled, the leases
        of what was under way run out, and it is sent again."""
        stopped = asyncio.create_task(self._stopping.wait())
        try:
            while not self._stopping.is_set():
                room = self._config.max_at_once - len(self._tasks)
                seconds = await self._take(room) if room else self._config.poll_seconds
                if seconds:
                    await asyncio.wait(
                        {stopped, *self._tasks},
                        timeout=seconds,
                        return_when=asyncio.FIRST_COMPLETED,
                    )
            while self._tasks:
                await asyncio.wait(self._tasks)
        finally:
            for task in (stopped, *self._tasks):
                task.cancel()

    async def _take(self, room: int) -> float:
        """Claim what there is room for; returns how long to wait before the next look."""
        try:
            self._counters.num_due, claims = await self._outbox.claim(room)
        except redis.RedisError as error:
            log.warning("can't claim webhooks, will try again: %s", error)
            pause, self._pause = self._pause, min(2 * self._pause, _LONGEST_PAUSE)
            # Not sooner, where a delivery ends meanwhile.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
            return 0.0
        self._pause = _RETRY_SECONDS
        verdicts = [(claimed, self._begin(claimed)) for claimed in claims]
        if settled := [(claimed, verdict) for claimed, verdict in verdicts if verdict]:
            self._start(self._settle(settled))
        return 0.0 if len(claims) == room else self._config.poll_seconds

    def _begin(self, claimed: Claimed) -> Verdict | None:
        """Start to deliver it, or say at once what becomes of it."""
        try:
            event = Event.read(claimed.job_id.decode(), self._config.queue, claimed.fields)
        except ValueError as error:  # InvalidJobError and UnicodeDecodeError, too
            return self._given_up(claimed, None, str(error))
        line = self._lines.setdefault(event.url.host, HostLine(self._config.max_per_host))
        if line.is_full:
            return Verdict(kind="undone", seconds=line.put_off(self._config.longest_retry))
        line.enter()
        self._start(self._deliver(claimed, event, line))
        return None

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        self._counters.num_in_hands = len(self._tasks)
        task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._counters.num_in_hands = len(self._tasks)
        if not task.cancelled() and (error := task.exception()):
            # A defect of ours; the lease runs out, and the attempt was counted.
            log.error("a webhook could not be dealt with", exc_info=error)

    async def _deliver(self, claimed: Claimed, event: Event, line: HostLine) -> None:
        try:
            async with line.turn():
                verdict = await self._attempt(claimed, event)
        finally:
            if line.is_empty and self._lines.get(event.url.host) is line:
                del self._lines[event.url.host]
        await self._settle([(claimed, verdict)])

    async def _attempt(self, claimed: Claimed, event: Event) -> Verdict:
        if self._stopping.is_set():
            return Verdict(kind="undone")
        secrets = self._secrets.of(event.tenant)
        if not secrets:
            return self._given_up(claimed, event, "the secrets' file has none for its tenant")
        if claimed.attempt > self._config.max_attempts:  # its senders died of it, or were killed
            return self._given_up(claimed, event, "no attempt is left")
        body = event.body()
        headers = signed_headers(secrets, event.webhook_id, int(time.time()), body)
        try:
            answer = await self._poster.post(event.url, headers, body)
        except ForbiddenHostError as error:
            return self._given_up(claimed, event, str(error))
        except NoAnswerError as error:
            return self._failed(claimed, event, str(error), None)
        return self._judge(claimed, event, answer)

    def _judge(self, claimed: Claimed, event: Event, answer: Answer) -> Verdict:
        if 200 <= answer.status < 300:
            self._counters.num_sent += 1
            return Verdict(kind="sent")
        reason = f"status {answer.status}"
        if answer.status == _GONE:
            return self._given_up(claimed, event, f"{reason}: its receiver is gone")
        return self._failed(claimed, event, reason, answer.retry_after)

    def _failed(
        self, claimed: Claimed, event: Event, reason: str, asked_for: float | None
    ) -> Verdict:
        if claimed.attempt >= self._config.max_attempts:
            return self._given_up(claimed, event, reason)
        self._counters.num_failed_attempts += 1
        seconds = self._back_off.seconds(claimed.attempt, asked_for)
        fields = _fields_of(claimed, event)
        log.info("%s: %s; next attempt in %.0f s", event, reason, seconds, extra=fields)
        return Verdict(kind="later", seconds=seconds, reason=reason)

    def _given_up(self, claimed: Claimed, event: Event | None, reason: str) -> Verdict:
        self._counters.num_failed_attempts += 1
        self._counters.num_given_up += 1
        # What is no event may have anything for an ID.
        which = event or f"job {brief(claimed.job_id)}: webhook"
        log.warning("%s given up: %s", which, reason, extra=_fields_of(claimed, event))
        return Verdict(kind="given_up", reason=reason)

    async def _settle(self, verdicts: Sequence[tuple[Claimed, Verdict]]) -> None:
        """Where the server is away, try again while the claim may last."""
        ends = time.monotonic() + self._config.lease / 2
        while True:
            try:
                await self._outbox.settle(verdicts)
                return
            except redis.RedisError as error:
                if time.monotonic() > ends:
                    log.warning("can't store what became of a webhook: %s", error)
                    return
                await asyncio.sleep(_RETRY_SECONDS)


def _fields_of(claimed: Claimed, event: Event | None) -> dict[str, object]:
    """What a log line about a webhook carries."""
    fields: dict[str, object] = {"job_id": brief(claimed.job_id), "attempt": claimed.attempt}
    return fields if event is None else {**fields, "job_id": event.job_id, "tenant": event.tenant}
