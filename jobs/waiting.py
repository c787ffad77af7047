"""Waiting for many jobs at once, without polling."""

import time
from collections import deque
from collections.abc import Iterable
from itertools import islice

from jobs.errors import JobsError, ResultTimeoutError
from jobs.rq_queue import RqQueue
from jobs.sampled_rows import SampledRows
from jobs.server_call import Item, Telling

MAX_WATCHED = 500
"""How many result streams one blocking read watches; its cost to the server grows with them."""


def wait_for(
    queue: RqQueue, job_ids: Iterable[str], timeout: float | None, max_block: float
) -> Telling[tuple[str, SampledRows | JobsError]]:
    """Gives every job ID once, with its outcome, as the jobs get done.

    Watches the first 500 jobs that are not done, and a further one for each that gets done. After
    `timeout` seconds (None: never) what is left gets a last look and otherwise a
    ResultTimeoutError. `max_block` bounds one blocking read; the status of all watched jobs is
    read whenever one ends without news, for jobs that end without a result: deleted, expired, or
    cancelled by plain RQ.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    unseen = deque(dict.fromkeys(job_ids))
    watched: dict[str, str] = {}  # job ID -> the newest entry of its result stream
    while unseen or watched:
        remaining = max_block if deadline is None else deadline - time.monotonic()
        if remaining <= 0:
            break
        num_new = min(len(unseen), MAX_WATCHED - len(watched))
        if num_new:
            sightings = yield from queue.look([unseen.popleft() for _ in range(num_new)])
        else:
            sightings = yield from queue.wait(watched, min(remaining, max_block))
            sightings = sightings or (yield from queue.look(watched))
        for job_id, sighting in sightings.items():
            if sighting.outcome is None:
                watched[job_id] = sighting.newest_entry
            else:
                watched.pop(job_id, None)
                yield Item((job_id, sighting.outcome))

    left = iter([*watched, *unseen])
    while chunk := list(islice(left, MAX_WATCHED)):
        last_look = yield from queue.look(chunk)
        for job_id, sighting in last_look.items():
            outcome = sighting.outcome or ResultTimeoutError(job_id, timeout or 0)
            yield Item((job_id, outcome))
