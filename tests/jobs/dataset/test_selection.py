"""Which inputs a run samples, and how many may fail."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs import GenerateJob, InvalidJobError
from jobs.dataset import SamplingConfig, TooManyFailuresError
from jobs.dataset.selection import Selection, Shard
from jobs.dataset.tolerance import Tolerance


@given(st.integers(1, 7), st.integers(0, 60), st.none() | st.integers(1, 60))
def test_every_input_is_in_one_shard(count: int, num_inputs: int, limit: int | None) -> None:
    shards = [Selection(limit=limit, shard=Shard(number, count)) for number in range(count)]
    for index in range(num_inputs):
        is_wanted = limit is None or index < limit
        assert sum(index in shard for shard in shards) == is_wanted
    assert [shard.count(num_inputs) for shard in shards] == [
        sum(index in shard for index in range(num_inputs)) for shard in shards
    ]


def test_shards_may_be_counted_from_0_or_from_1() -> None:
    assert Shard.parse("0/4") == Shard.parse("4/4") == Shard(0, 4)
    assert Shard.parse("3/4") == Shard(3, 4)
    assert SamplingConfig.parse({"shard": "4/4"}).shard == "0/4"


@pytest.mark.parametrize("text", ["", "3", "5/4", "-1/4", "1/0", "0/0", "a/b", "1/4/2", "²/3"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(InvalidJobError, match="shard"):
        SamplingConfig.parse({"shard": text})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_samples", 0),
        ("num_samples", True),
        ("temperature", -1.0),
        ("top_p", 0.0),
        ("seed", -1),
        ("limit", 0),
        ("inputs_per_part", 0),
        ("prompt_column", ""),
        ("no_such_field", 1),
    ],
)
def test_a_bad_value_is_named(field: str, value: object) -> None:
    with pytest.raises(InvalidJobError) as caught:
        SamplingConfig.parse({field: value})
    assert caught.value.field == field
    assert re.match("(None or )?(an? |one of )", caught.value.limit)


def test_every_field_says_what_it_may_be() -> None:
    fields = {name: SamplingConfig.model_fields[name] for name in SamplingConfig.model_fields}
    undescribed = {name for name, field in fields.items() if not field.description}
    assert undescribed <= GenerateJob.model_fields.keys()


@pytest.mark.parametrize("value", [True, "true", 1, "1"])
def test_one_failure_may_be_too_many(value: object) -> None:
    Tolerance.parse(value).check(0, 10**6)
    with pytest.raises(TooManyFailuresError):
        Tolerance.parse(value).check(1, 10**6)


def test_a_count_and_a_share_may_be_too_many() -> None:
    Tolerance.parse(3).check(2, 2)
    with pytest.raises(TooManyFailuresError):
        Tolerance.parse("3").check(3, 3)
    share = Tolerance.parse("0.1")
    share.check(20, 99)  # too few to say
    share.check(20, 200)
    with pytest.raises(TooManyFailuresError):
        share.check(20, 100)
    with pytest.raises(TooManyFailuresError):
        share.check(2, 10, is_end=True)
    Tolerance.parse(None).check(10, 10, is_end=True)


@pytest.mark.parametrize("value", [0, -1, 1.0, 1.5, "x", "nan", "", [1]])
def test_what_is_no_tolerance_is_refused(value: object) -> None:
    with pytest.raises(InvalidJobError, match="fail_on_error"):
        Tolerance.parse(value)  # type: ignore[arg-type]
