"""The real BatchWorker with an engine that costs nothing: `python -m … JSON`."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any, cast

from engine import Engine, EngineConfig
from jobs.connection import open_connection
from worker.batch_worker import BatchWorker
from worker.bench_process import serve
from worker.config import WorkerConfig
from worker.queue_bench.free_engine import FreeEngine
from worker.queue_bench.server_time import server_time


def main(url: str, queue: str, max_rows: int, is_burst: bool) -> None:
    logging.disable(logging.INFO)
    connection = open_connection(url)
    free = FreeEngine(max_rows)
    config = WorkerConfig(
        model="none", redis_url=url, queues=(queue,), engine=EngineConfig(max_rows=max_rows)
    )
    worker = BatchWorker(cast(Engine, free), connection, config)

    def work() -> dict[str, Any]:
        started = server_time(connection)
        if not worker.work(burst=is_burst):
            raise SystemExit(1)
        return {"engine_seconds": free.seconds, "started": started}

    serve(work)


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
