"""One worker, several queues and tenants: it is woken by each, and takes them in order."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis

from jobs import Client, GenerateJob, SampledRows
from tests.integration.conftest import StartWorker
from tests.integration.job_mixes import long_jobs, question

Expected = Callable[[GenerateJob], SampledRows]


@pytest.mark.parametrize("tenant", [None, "acme"])
@pytest.mark.parametrize("suffix", ["", "-later"])
def test_an_idle_worker_is_woken_by_each_of_its_queues(
    url: str,
    queue: str,
    connection: redis.Redis,
    start_worker: StartWorker,
    expected: Expected,
    suffix: str,
    tenant: str | None,
) -> None:
    start_worker("--queue", f"{queue}-later")
    job = question(tenant=tenant, reply_to=queue)
    with Client(url, queue + suffix) as client:
        for _ in range(3):  # idle again after each
            job_id = client.submit(job)
            assert client.replies(queue, timeout=60) == [job_id]
            assert client.result(job_id, timeout=0) == expected(job)
            assert client.delete([job_id]) == 1
    assert not connection.keys(f"rowmill:turns:{queue}*")
    assert not connection.exists(f"rowmill:replies:{queue}")


def test_the_first_queue_comes_first_and_its_tenants_by_turns(
    url: str, queue: str, start_worker: StartWorker
) -> None:
    (job,) = long_jobs(1, reply_to=queue)
    with Client(url, f"{queue}-later") as later, Client(url, queue) as urgent:
        last = later.submit(job)
        big = urgent.submit_many(long_jobs(4, tenant="big", reply_to=queue))
        small = urgent.submit(*long_jobs(1, tenant="small", reply_to=queue))

        start_worker("--queue", f"{queue}-later", "--max-rows", "16")  # one job at a time

        order: list[str] = []
        while len(order) < 6:
            order += urgent.replies(queue, timeout=60)
    assert order in ([big[0], small, *big[1:], last], [small, *big, last])
