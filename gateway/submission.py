"""How requests become jobs: the one way into the queue, where all limits are checked."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.caller import Caller
from gateway.errors import ApiError
from gateway.model_limits import check_against, most_new_tokens
from gateway.services import Services
from gateway.webhooks.push_check import check_webhook
from jobs import GenerateJob, InvalidJobError, ModelCard, QueueFullError


async def submit(
    services: Services,
    caller: Caller,
    jobs: Sequence[GenerateJob],
    job_ids: Sequence[str] | None = None,
    *,
    is_awaited: bool = False,
) -> list[str]:
    """Push a caller's jobs, as that one's tenant and with its priority; returns their IDs.
    `is_awaited`: the caller waits for their rows.

    All are checked, and the caller's quotas charged for all, before any is queued; all are queued
    or none. Raises ApiError where a quota is used up or the queue is full, and JobsError;
    InvalidJobError where no worker could run one.
    """
    own = {"tenant": caller.tenant, "priority": caller.priority}
    for job in jobs:
        check_webhook(job, allows_private=services.config.allows_private_webhooks)
    owned = [job.model_copy(update=own) for job in jobs]
    cards = await services.workers.cards(caller.queue)
    check_against(cards, owned)
    await _check_room(services, caller, len(owned))
    num_rows = sum(job.num_samples for job in owned)
    num_tokens = sum(_num_tokens(caller, cards, job) for job in owned)
    try:
        await services.quotas.charge(caller, rows=num_rows, tokens=num_tokens)
    except ApiError as error:
        services.metrics.note_refusal(error)
        raise
    client = services.client(caller.queue, is_awaited=is_awaited)
    try:
        pushed = await client.submit_many(owned, job_ids=job_ids)
    except QueueFullError as error:  # others came first since we looked
        for job_id in error.pushed:
            await client.cancel(job_id)
        await client.delete(error.pushed)
        raise
    services.metrics.note_push(len(pushed), num_rows)
    return pushed


async def _check_room(services: Services, caller: Caller, num_jobs: int) -> None:
    most = services.config.max_queued
    if most is None:
        return
    if num_jobs > most:
        text = f"jobs: {num_jobs} at once are more than may wait at all, {most} (max_queued)"
        raise ApiError(400, text, param="jobs", code="more_than_max_queued")
    num_queued = await services.client(caller.queue).num_queued(caller.tenant)
    if num_queued + num_jobs > most:
        text = f"{num_queued} jobs wait already, of at most {most} (max_queued): try again"
        raise ApiError(429, text, kind="rate_limit_error", code="queue_full", retry_after=1)


def _num_tokens(caller: Caller, cards: Sequence[ModelCard], job: GenerateJob) -> int:
    """What a job may come to, by which the caller is charged: the prompt, and all of each row."""
    if caller.tokens_per_minute is None:
        return 0
    most = most_new_tokens(cards, job)
    if most is None:
        limit = "given where the API key has a quota of tokens and no worker tells its context"
        raise InvalidJobError("max_tokens", "leaving it out", limit)
    return len(job.prompt_tokens) + most * job.num_samples
