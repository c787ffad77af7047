"""Reading a job's rows while they are sampled, without polling."""

import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from jobs.errors import JobsError, ResultTimeoutError, WireError
from jobs.row_delta import RowDelta
from jobs.row_stream import RowStream
from jobs.rq_queue import RqQueue, results_key
from jobs.server_call import Item, Telling, read_streams
from jobs.wire import load_chunk

_MOST_CHUNKS = 64
"""Of one read: a reader that comes late need not hold all that it has missed at once."""


def stream_rows(
    queue: RqQueue, job_id: str, timeout: float | None, max_block: float
) -> Telling[RowDelta]:
    """Gives what chunks tell of a job's rows, and what they left out once it has its result.

    The result is what counts. Chunks are there sooner, and may be missing, cut off, or told again
    by another attempt. `max_block` bounds one blocking read; the job's status is read whenever one
    ends without news, as `wait_for` does it.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    sighting, job = yield from queue.look_at(job_id)
    rows = RowStream(job_id, range(job.first_row, job.first_row + job.num_samples))
    newest_chunk = "0-0"
    while sighting.outcome is None:
        remaining = max_block if deadline is None else deadline - time.monotonic()
        watched = {stream_key(job_id): newest_chunk, results_key(job_id): sighting.newest_entry}
        news = yield from read_streams(watched, min(remaining, max_block), _MOST_CHUNKS)
        chunks, entries = (news.get(key) for key in watched)
        for delta in rows.add(_deltas(chunks or ())):
            yield Item(delta)
        if rows.is_over:
            return
        if chunks:
            newest_chunk = chunks[-1][0].decode()
        if entries:
            sighting = (yield from queue.see({job_id: entries}))[job_id]
        elif not chunks:
            sighting = (yield from queue.look([job_id]))[job_id]
        if sighting.outcome is None and remaining <= 0:
            raise ResultTimeoutError(job_id, timeout or 0)
    if isinstance(sighting.outcome, JobsError):
        raise sighting.outcome
    for delta in rows.finish(sighting.outcome):
        yield Item(delta)


def stream_key(job_id: str) -> str:
    """The stream to which a job's worker appends `chunk`s while it runs."""
    return f"rowmill:stream:{job_id}"


def _deltas(chunks: Iterable[tuple[bytes, dict[bytes, Any]]]) -> Iterator[RowDelta]:
    for _, fields in chunks:
        # What is no chunk tells nothing, and the result tells it all.
        with suppress(WireError):
            yield from load_chunk(fields.get(b"chunk", b""))
