"""RQ's SimpleWorker, with its logging off: `python -m … JSON`."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import redis
from rq import SimpleWorker
from rq.serializers import JSONSerializer

from worker.bench_process import serve
from worker.queue_bench.server_time import server_time


def main(url: str, queue: str, max_rows: int, is_burst: bool) -> None:
    """`max_rows` is for the other's worker: this one runs a job at a time."""
    logging.disable(logging.CRITICAL)
    connection = redis.Redis.from_url(url)
    worker = SimpleWorker([queue], connection=connection, serializer=JSONSerializer)

    def work() -> dict[str, Any]:
        started = server_time(connection)
        worker.work(burst=is_burst)
        return {"engine_seconds": 0.0, "started": started}

    serve(work)


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
