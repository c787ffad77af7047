"""How requests become jobs: the one way into the queue, where all limits are checked."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.caller import Caller
from gateway.services import Services
from jobs import GenerateJob


async def submit(
    services: Services,
    caller: Caller,
    jobs: Sequence[GenerateJob],
    job_ids: Sequence[str] | None = None,
) -> list[str]:
    """Push a caller's jobs, as that one's tenant and with its priority; returns their IDs.

    Raises ApiError where the model can't run one or the caller's quota is used up, and JobsError.
    """
    own = {"tenant": caller.tenant, "priority": caller.priority}
    owned = [job.model_copy(update=own) for job in jobs]
    return await services.client(caller.queue).submit_many(owned, job_ids=job_ids)
