"""How requests become jobs: the one way into the queue, where all limits are checked."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.caller import Caller
from gateway.model_limits import check_against, most_new_tokens
from gateway.services import Services
from gateway.webhooks.push_check import check_webhook
from jobs import GenerateJob, InvalidJobError, ModelCard


async def submit(
    services: Services,
    caller: Caller,
    jobs: Sequence[GenerateJob],
    job_ids: Sequence[str] | None = None,
) -> list[str]:
    """Push a caller's jobs, as that one's tenant and with its priority; returns their IDs.

    All are checked, and the caller's quotas charged for all, before any is queued. Raises ApiError
    where a quota is used up, and JobsError; InvalidJobError where no worker could run one.
    """
    own = {"tenant": caller.tenant, "priority": caller.priority}
    for job in jobs:
        check_webhook(job, allows_private=services.config.allows_private_webhooks)
    owned = [job.model_copy(update=own) for job in jobs]
    cards = await services.workers.cards(caller.queue)
    check_against(cards, owned)
    await services.quotas.charge(
        caller,
        rows=sum(job.num_samples for job in owned),
        tokens=sum(_num_tokens(caller, cards, job) for job in owned),
    )
    return await services.client(caller.queue).submit_many(owned, job_ids=job_ids)


def _num_tokens(caller: Caller, cards: Sequence[ModelCard], job: GenerateJob) -> int:
    """What a job may come to, by which the caller is charged: the prompt, and all of each row."""
    if caller.tokens_per_minute is None:
        return 0
    most = most_new_tokens(cards, job)
    if most is None:
        limit = "given where the API key has a quota of tokens and no worker tells its context"
        raise InvalidJobError("max_tokens", "leaving it out", limit)
    return len(job.prompt_tokens) + most * job.num_samples
