"""QuickWorker: a worker without an engine, whose rows are made of a seed and a row's index."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from types import TracebackType

from jobs import MsgpackSerializer, Row, SampledRows
from jobs.connection import open_connection
from tests.jobs.dataset.strategies import PROVENANCE
from worker.claim import Claim, Outcome
from worker.follow_ups import FollowUps
from worker.ledger import Ledger
from worker.translate import to_job

_MAX_PAYLOAD = 2**20


class QuickWorker:
    """Serves a queue from a thread, for as long as the context lasts.

    `refused`: first tokens of prompts whose jobs fail. `sampled`: how often each row was made, by
    its seed and index.
    """

    def __init__(self, url: str, queue: str) -> None:
        self._connection = open_connection(url)
        self._ledger = Ledger(
            self._connection,
            [queue],
            "quick",
            FollowUps(self._connection),
            lease=60,
            worker_ttl=60,
            result_ttl=600,
            failure_ttl=600,
            max_attempts=3,
            max_payload_bytes=_MAX_PAYLOAD,
        )
        self.refused: frozenset[int] = frozenset()
        self.sampled: Counter[tuple[int, int]] = Counter()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="quick worker")

    def __enter__(self) -> QuickWorker:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._is_over.set()
        self._thread.join()
        self._connection.close()

    def _work(self) -> None:
        while not self._is_over.wait(0.001):
            claims = self._ledger.claim(3, is_idle=True)
            if claims:
                self._ledger.finish([self._outcome(claim) for claim in claims])

    def _outcome(self, claim: Claim) -> Outcome:
        job = to_job(claim, _MAX_PAYLOAD)
        if job.prompt_tokens[0] in self.refused:
            return Outcome(claim=claim, status="failed", value="refused")
        indices = range(job.first_row, job.first_row + job.num_samples)
        self.sampled.update((job.seed, index) for index in indices)
        rows = SampledRows(
            rows=tuple(_row(job.seed, index) for index in indices), provenance=PROVENANCE
        )
        return Outcome(claim=claim, status="finished", value=MsgpackSerializer.dumps(rows))


def _row(seed: int, index: int) -> Row:
    digest = hashlib.sha256(f"{seed} {index}".encode()).digest()
    tokens = digest[: 1 + digest[-1] % 8]
    return Row(tokens=tuple(tokens), masks=(1,) * len(tokens), finish_reason="stop")
