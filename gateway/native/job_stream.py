"""A job's rows as server-sent events, while they are sampled or afterwards."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator

from gateway.event_stream import event
from gateway.metrics import Metrics
from gateway.native.job_answer import DeltaEvent
from jobs import RowDelta
from vocab import Tokenizer
from vocab.text_stream import TextStream


async def job_events(
    job_id: str, deltas: AsyncIterator[RowDelta], tokenizer: Tokenizer | None, metrics: Metrics
) -> AsyncGenerator[bytes, None]:
    """An event for each delta, and one that says that all rows are done."""
    texts: dict[int, TextStream] = {}
    async for delta in deltas:
        text = None
        if tokenizer is not None:
            text = _text_of(texts.setdefault(delta.row, TextStream(tokenizer)), delta)
        metrics.tokens.inc(len(delta.tokens))
        yield event(_told(delta, text), "delta")
    yield event({"id": job_id, "status": "finished"}, "done")


def _text_of(stream: TextStream, delta: RowDelta) -> str:
    """What the delta adds to the row's text, whole characters alone."""
    if delta.finish_reason is None:
        return stream.add(delta.tokens)
    if delta.text is not None:  # with stop strings it is not all that the tokens say
        return delta.text[stream.num_chars :]
    return stream.add(delta.tokens) + stream.finish()


def _told(delta: RowDelta, text: str | None) -> dict[str, object]:
    told = DeltaEvent(
        row=delta.row,
        start=delta.start,
        tokens=delta.tokens,
        masks=delta.masks,
        text=text,
        logprobs=delta.logprobs,
        top_tokens=delta.top_tokens,
        top_logprobs=delta.top_logprobs,
        finish_reason=delta.finish_reason,
    )
    return told.model_dump(exclude_none=True)
