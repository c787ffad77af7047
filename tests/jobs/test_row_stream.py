"""However often and in whatever pieces a job's rows are told: a reader is told each token once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs import Row, RowDelta, SampledRows, StreamDivergedError
from jobs.row_stream import RowStream

FIRST_ROW = 3
COLUMNS = ("tokens", "masks", "logprobs", "top_tokens", "top_logprobs")


@st.composite
def results(draw: st.DrawFn) -> SampledRows:
    lengths = draw(st.lists(st.integers(0, 12), min_size=1, max_size=4))
    num_top, has_logprobs = draw(st.integers(0, 2)), draw(st.booleans())
    has_text = draw(st.booleans())

    def row(number: int, length: int) -> Row:
        # A value of its own at each place, so that nothing is right by chance.
        places = [100 * number + at for at in range(length)]
        tops = [1000 * place + rank for place in places for rank in range(num_top)]
        return Row(
            tokens=tuple(places),
            masks=tuple(draw(st.lists(st.integers(0, 1), min_size=length, max_size=length))),
            finish_reason=draw(st.sampled_from(["stop", "length"])),
            logprobs=tuple(-float(place) for place in places) if has_logprobs else None,
            top_tokens=tuple(tops) if num_top else None,
            top_logprobs=tuple(-float(top) for top in tops) if num_top else None,
            text=f"row {number}" if has_text else None,
        )

    return SampledRows(rows=tuple(row(number, length) for number, length in enumerate(lengths)))


def piece(result: SampledRows, number: int, start: int, end: int) -> RowDelta:
    """What a worker that sampled this result tells of a row, from one place up to another."""
    row = result.rows[number]
    num_top, is_last = row.num_top, end == len(row.tokens)
    return RowDelta(
        row=FIRST_ROW + number,
        start=start,
        tokens=row.tokens[start:end],
        masks=row.masks[start:end],
        logprobs=row.logprobs and row.logprobs[start:end],
        top_tokens=row.top_tokens and row.top_tokens[num_top * start : num_top * end],
        top_logprobs=row.top_logprobs and row.top_logprobs[num_top * start : num_top * end],
        finish_reason=row.finish_reason if is_last else None,
        text=row.text if is_last else None,
    )


@st.composite
def pieces(draw: st.DrawFn, result: SampledRows) -> RowDelta:
    number = draw(st.integers(0, len(result.rows) - 1))
    length = len(result.rows[number].tokens)
    start = draw(st.integers(0, length))
    told = piece(result, number, start, draw(st.integers(start, length)))
    # A row's end may be told by a delta of its own, after its last token.
    return replace(told, finish_reason=None, text=None) if draw(st.booleans()) else told


@st.composite
def attempts(draw: st.DrawFn, result: SampledRows) -> list[RowDelta]:
    """A few workers' accounts of the job, one after the other or at once, as far as they got."""
    told: list[list[RowDelta]] = []
    for _ in range(draw(st.integers(0, 3))):
        deltas: list[RowDelta] = []
        for number, row in enumerate(result.rows):
            cuts = sorted(draw(st.sets(st.integers(0, len(row.tokens)), min_size=1)))
            ends = [*cuts[1:], len(row.tokens)]
            deltas += [piece(result, number, *span) for span in zip(cuts, ends, strict=True)]
        told.append(deltas[: draw(st.integers(0, len(deltas)))])
    told.append(draw(st.lists(pieces(result), max_size=10)))
    mixed = [delta for deltas in told for delta in deltas]
    return draw(st.permutations(mixed)) if draw(st.booleans()) else mixed


def joined(told: Iterable[RowDelta], num_rows: int) -> tuple[Row, ...]:
    """The rows that a reader has, who checks nothing but what it was promised."""
    its: list[dict[str, Any]] = [{} for _ in range(num_rows)]
    for delta in told:
        row = its[delta.row - FIRST_ROW]
        assert "finish_reason" not in row, "the end of a row comes once, and last"
        assert delta.start == len(row.get("tokens", ()))
        assert delta.tokens or delta.finish_reason, "a delta that tells nothing"
        for name in COLUMNS:
            if getattr(delta, name) is not None:
                row[name] = row.get(name, ()) + getattr(delta, name)
        if delta.finish_reason is not None:
            row |= {"finish_reason": delta.finish_reason, "text": delta.text}
    return tuple(Row(**row) for row in its)


@given(st.data())
def test_a_reader_is_told_the_result_s_rows_and_each_token_once(data: st.DataObject) -> None:
    result = data.draw(results())
    stream = RowStream("a", range(FIRST_ROW, FIRST_ROW + len(result.rows)))

    told = [new for delta in data.draw(attempts(result)) for new in stream.add([delta])]
    ended = {delta.row for delta in told if delta.finish_reason}
    assert stream.is_over == (len(ended) == len(result.rows))
    told += stream.finish(result)

    assert joined(told, len(result.rows)) == result.rows
    assert stream.is_over


@given(st.data())
def test_a_whole_attempt_is_told_without_the_result(data: st.DataObject) -> None:
    result = data.draw(results())
    stream = RowStream("a", range(FIRST_ROW, FIRST_ROW + len(result.rows)))
    before = data.draw(attempts(result))
    whole = [piece(result, at, 0, len(row.tokens)) for at, row in enumerate(result.rows)]

    told = [*stream.add(before), *stream.add(whole)]

    assert stream.is_over
    assert joined(told, len(result.rows)) == result.rows
    assert list(stream.finish(result)) == []


@given(st.data())
def test_another_token_than_was_told_is_an_error_that_names_it(data: st.DataObject) -> None:
    result = data.draw(results().filter(lambda its: any(row.tokens for row in its.rows)))
    number = data.draw(st.sampled_from([at for at, row in enumerate(result.rows) if row.tokens]))
    tokens = list(result.rows[number].tokens)
    position = data.draw(st.integers(0, len(tokens) - 1))
    told_up_to = data.draw(st.integers(position + 1, len(tokens)))
    tokens[position] += 50
    other = result.rows[number].model_copy(update={"tokens": tuple(tokens)})
    rows = [other if at == number else row for at, row in enumerate(result.rows)]
    changed = SampledRows(rows=tuple(rows))
    stream = RowStream("a", range(FIRST_ROW, FIRST_ROW + len(rows)))
    list(stream.add([piece(result, number, 0, told_up_to)]))

    start = data.draw(st.integers(0, position))
    end = data.draw(st.integers(position + 1, len(tokens)))
    for again in (
        lambda: stream.add([piece(changed, number, start, end)]),
        lambda: stream.finish(changed),
    ):
        with pytest.raises(StreamDivergedError) as caught:
            list(again())
        assert (caught.value.job_id, caught.value.row) == ("a", FIRST_ROW + number)
        assert caught.value.position == position


def told(*tokens: int, **fields: Any) -> RowDelta:
    return RowDelta(row=0, start=0, tokens=tokens, masks=(1,) * len(tokens), **fields)


@pytest.mark.parametrize(
    ("first", "second", "position"),
    [
        (told(1, 2, 3), told(1, 2, finish_reason="stop"), 2),
        (told(1, 2, finish_reason="stop"), told(1, 2, 3), 2),
        (told(1, 2, finish_reason="stop"), told(1, 2, finish_reason="length"), 2),
    ],
)
def test_another_end_than_was_told_is_an_error(
    first: RowDelta, second: RowDelta, position: int
) -> None:
    stream = RowStream("a", range(1))
    assert list(stream.add([first])) == [first]
    with pytest.raises(StreamDivergedError) as caught:
        list(stream.add([second]))
    assert caught.value.position == position


def test_rows_that_the_job_has_not_are_left_out() -> None:
    stream = RowStream("a", range(1, 2))
    assert list(stream.add([told(1, finish_reason="stop")])) == []
    assert not stream.is_over
