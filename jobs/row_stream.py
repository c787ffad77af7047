"""RowStream: what is told of a job's rows, from several attempts and in pieces, told once."""

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import replace

from jobs.errors import StreamDivergedError
from jobs.row_delta import RowDelta
from jobs.sampled_rows import FinishReason, SampledRows


class _Told:
    """What a reader knows of a row."""

    def __init__(self) -> None:
        self.tokens = array("I")
        self.finish_reason: FinishReason | None = None


class RowStream:
    """Takes deltas as they come and gives those that are new, so that each token is told once.

    Attempts at a job make the same rows, so what comes again is dropped, once its tokens were found
    to be those of before. What comes after a gap is dropped, too: it comes again, from another
    attempt or with the result. `rows`: the indices of the job's rows; others are left out.
    """

    def __init__(self, job_id: str, rows: range) -> None:
        self._job_id = job_id
        self._rows = rows
        self._told: dict[int, _Told] = {}
        self._num_unfinished = len(rows)

    @property
    def is_over(self) -> bool:
        """Whether every row's finish_reason was told."""
        return not self._num_unfinished

    def add(self, deltas: Iterable[RowDelta]) -> Iterator[RowDelta]:
        """What is new in some deltas. Raises StreamDivergedError."""
        for delta in deltas:
            if delta.row in self._rows:
                told = self._told.setdefault(delta.row, _Told())
                if delta.start <= len(told.tokens):
                    yield from self._add(told, delta)

    def finish(self, result: SampledRows) -> Iterator[RowDelta]:
        """What was not told of the job's rows. Raises StreamDivergedError."""
        return self.add(
            RowDelta(row=index, start=0, **dict(row))
            for index, row in zip(self._rows, result.rows, strict=False)
        )

    def _add(self, told: _Told, delta: RowDelta) -> Iterator[RowDelta]:
        self._check(told, delta)
        if told.finish_reason is not None:
            return
        rest = _without(delta, len(told.tokens) - delta.start)
        if rest.tokens or rest.finish_reason:
            told.tokens.extend(rest.tokens)
            told.finish_reason = rest.finish_reason
            self._num_unfinished -= rest.finish_reason is not None
            yield rest

    def _check(self, told: _Told, delta: RowDelta) -> None:
        num_told, end = len(told.tokens), delta.start + len(delta.tokens)
        known = told.tokens[delta.start : end]
        if known != array("I", delta.tokens[: len(known)]):
            pairs = zip(known, delta.tokens, strict=False)
            position = next(at for at, (one, other) in enumerate(pairs) if one != other)
            raise StreamDivergedError(self._job_id, delta.row, delta.start + position)
        # To end is a choice like that of a token.
        if told.finish_reason and end > num_told:
            raise StreamDivergedError(self._job_id, delta.row, num_told)
        if delta.finish_reason and end < num_told:
            raise StreamDivergedError(self._job_id, delta.row, end)
        if told.finish_reason and delta.finish_reason not in (None, told.finish_reason):
            raise StreamDivergedError(self._job_id, delta.row, num_told)


def _without(delta: RowDelta, num_tokens: int) -> RowDelta:
    """The delta without its first tokens."""
    if not num_tokens:
        return delta
    num_top = 0 if not delta.top_tokens else len(delta.top_tokens) // len(delta.tokens)
    tops = num_top * num_tokens
    return replace(
        delta,
        start=delta.start + num_tokens,
        tokens=delta.tokens[num_tokens:],
        masks=delta.masks[num_tokens:],
        logprobs=delta.logprobs and delta.logprobs[num_tokens:],
        top_tokens=delta.top_tokens and delta.top_tokens[tops:],
        top_logprobs=delta.top_logprobs and delta.top_logprobs[tops:],
    )
