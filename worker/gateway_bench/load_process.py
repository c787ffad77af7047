"""Many clients that stream at once: `python -m … JSON`."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

from worker.bench_process import serve
from worker.gateway_bench.http_call import COMPLETIONS

_SECONDS = 300.0
_END = b"data: [DONE]"


def main(port: int, streams: int, tokens: int, first_seed: int) -> None:
    def work() -> dict[str, Any]:
        return asyncio.run(_load(port, streams, tokens, first_seed))

    serve(work)


async def _load(port: int, streams: int, tokens: int, first_seed: int) -> dict[str, Any]:
    started = time.perf_counter()
    seeds = range(first_seed, first_seed + streams)
    tasks = [asyncio.create_task(_stream(port, seed, tokens)) for seed in seeds]
    found = await asyncio.wait_for(asyncio.gather(*tasks), _SECONDS)
    return {
        "seconds": time.perf_counter() - started,
        "finished": sum(its["is_finished"] for its in found),
        "events": sum(its["events"] for its in found),
        "first_event_seconds": sorted(its["first"] for its in found),
        "problems": [its["problem"] for its in found if its["problem"]][:5],
    }


async def _stream(port: int, seed: int, tokens: int) -> dict[str, Any]:
    """One client: when its first event came, and whether its stream came to its end."""
    fields = {"model": "demo", "prompt": "3 + 4", "max_tokens": tokens, "seed": seed}
    body = json.dumps({**fields, "stream": True}).encode()
    head = f"POST {COMPLETIONS} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    started = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
    status = (await reader.readline()).split()[1:2]
    events, first, is_finished, problem = 0, None, False, ""
    async for line in reader:
        if line.startswith(b"data: {"):
            events += 1
            first = first or time.perf_counter() - started
            problem = line.decode() if b'"error"' in line else problem
        is_finished = is_finished or line.startswith(_END)
    writer.close()
    if status != [b"200"]:
        problem = f"status {status}"
    is_finished = is_finished and not problem
    return {"is_finished": is_finished, "events": events, "first": first or 0.0, "problem": problem}


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
