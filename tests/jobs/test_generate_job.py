"""What a job may say, and how it is told that it may not."""

import pickle
from array import array
from typing import Any

import pytest
from pydantic import ValidationError

from jobs import GenerateJob, InvalidJobError, Row, SampledRows

BAD = [
    ("prompt_tokens", []),
    ("prompt_tokens", "a text"),
    ("prompt_tokens", None),
    ("prompt_tokens", {1, 2}),
    ("prompt_tokens", [1, -1]),
    ("prompt_tokens", [2**32]),
    ("prompt_tokens", [10**5000]),
    ("prompt_tokens", [1] * 1_000_001),
    ("prompt_tokens", [1, True]),
    ("prompt_tokens", [1.0]),
    ("prompt_tokens", [[1], [2]]),
    ("prompt_tokens", array("f", [1.0])),
    ("num_samples", 0),
    ("num_samples", 65536),
    ("num_samples", "3"),
    ("num_samples", 3.0),
    ("num_samples", None),
    ("first_row", -1),
    ("first_row", 65535),
    ("first_row", True),
    ("first_row", None),
    ("max_tokens", 0),
    ("max_tokens", True),
    ("temperature", -0.1),
    ("temperature", float("nan")),
    ("temperature", float("inf")),
    ("temperature", 10**400),
    ("temperature", True),
    ("temperature", "warm"),
    ("top_k", 0),
    ("top_k", 1.5),
    ("top_p", 0.0),
    ("top_p", 1.1),
    ("min_p", -0.1),
    ("min_p", 1.1),
    ("logprobs", 1),
    ("logprobs", None),
    ("logprobs", "yes"),
    ("seed", -1),
    ("seed", 2**64),
    ("seed", 1.0),
    ("webhook_url", "ftp://example.com"),
    ("webhook_url", "https://user:secret@example.com"),
    ("webhook_url", "https://example.com/#part"),
    ("webhook_url", "https://example.com:99999"),
    ("webhook_url", "https://example.com/a b"),
    ("webhook_url", "https://example.com\n"),
    ("webhook_url", "https://exämple.com"),
    ("webhook_url", "https://" + "a" * 2048),
    ("webhook_url", b"https://example.com"),
    ("stop_strings", ["a"]),
    ("self", 1),
]


@pytest.mark.parametrize(("field", "value"), BAD)
def test_a_bad_value_is_an_error_that_names_the_field_and_the_limit(field: str, value: Any) -> None:
    fields = {"prompt_tokens": [1], field: value}

    with pytest.raises(InvalidJobError) as caught:
        GenerateJob(**fields)

    assert caught.value.field == field
    assert caught.value.limit in str(caught.value)
    assert len(str(caught.value)) < 600


def test_a_job_without_a_prompt_is_an_error() -> None:
    with pytest.raises(InvalidJobError, match="prompt_tokens"):
        GenerateJob()  # type: ignore[call-arg]


@pytest.mark.parametrize("fields", [None, [("prompt_tokens", [1])], {1: 2}])
def test_fields_that_are_no_keyword_arguments_are_an_error(fields: Any) -> None:
    with pytest.raises(InvalidJobError):
        GenerateJob.parse(fields)


@pytest.mark.parametrize("name", ["a" * 81, "a" * 100_000, "two\nlines", "", "\x1b[2J", "a b"])
def test_a_name_that_is_none_is_told_in_a_short_line(name: str) -> None:
    for make in (lambda: GenerateJob.parse({"prompt_tokens": [1], name: 1}), lambda: _job(name)):
        with pytest.raises(InvalidJobError) as caught:
            make()
        assert len(str(caught.value)) < 600
        assert str(caught.value).isprintable()


def _job(name: str) -> GenerateJob:
    return GenerateJob(**{"prompt_tokens": [1], name: 1})


def test_the_error_tells_which_token_is_bad() -> None:
    with pytest.raises(InvalidJobError, match="-7 at index 2"):
        GenerateJob.parse({"prompt_tokens": [1, 2, -7, 4]})


@pytest.mark.parametrize("tokens", [[1, 2**32 - 1], (1, 2**32 - 1), array("I", [1, 2**32 - 1])])
def test_lists_tuples_and_arrays_of_integers_are_prompts(tokens: Any) -> None:
    assert GenerateJob(prompt_tokens=tokens).prompt_tokens == (1, 2**32 - 1)


def test_the_last_row_s_index_is_bounded() -> None:
    GenerateJob(prompt_tokens=(1,), num_samples=8, first_row=65527)
    with pytest.raises(InvalidJobError, match="with num_samples at most 65535") as caught:
        GenerateJob(prompt_tokens=(1,), num_samples=8, first_row=65528)
    assert caught.value.field == "first_row"


def test_the_ends_of_every_range_are_allowed() -> None:
    GenerateJob(prompt_tokens=(0,), num_samples=65535, temperature=0, top_p=1, min_p=0, top_k=1)
    GenerateJob(prompt_tokens=(0,), first_row=65534)
    GenerateJob(prompt_tokens=(0,), max_tokens=1, seed=2**64 - 1, min_p=1.0, top_p=1e-9)


def test_a_job_cannot_change() -> None:
    job = GenerateJob(prompt_tokens=(1,))
    with pytest.raises(ValidationError):
        job.seed = 1


def test_fields_make_the_same_job_again_and_leave_out_defaults() -> None:
    job = GenerateJob(prompt_tokens=(1, 2), top_k=5, seed=7, temperature=1.0, min_tokens=0)

    assert GenerateJob.parse(job.fields()) == job
    assert job.fields() == {"prompt_tokens": (1, 2), "top_k": 5, "seed": 7, "temperature": 1.0}


def test_a_job_survives_pickling() -> None:
    job = GenerateJob(prompt_tokens=(1, 2), seed=7)
    assert pickle.loads(pickle.dumps(job)) == job


def test_rows_have_a_mask_for_every_token() -> None:
    with pytest.raises(ValidationError, match="1 masks for 2 tokens"):
        Row(tokens=(1, 2), masks=(1,), finish_reason="stop")


@pytest.mark.parametrize("mask", [2, -1, True])
def test_a_mask_is_0_or_1(mask: int) -> None:
    with pytest.raises(ValidationError):
        Row(tokens=(1,), masks=(mask,), finish_reason="stop")


@pytest.mark.parametrize(
    "logprobs", [(), (-1.0, -2.0), (0.5,), (float("-inf"),), (float("nan"),), (-0.1,), (-1e300,)]
)
def test_a_logprob_is_a_finite_float32_of_at_most_0_for_every_token(logprobs: Any) -> None:
    Row(tokens=(1,), masks=(1,), finish_reason="stop", logprobs=(-0.125,))
    with pytest.raises(ValidationError, match="logprob"):
        Row(tokens=(1,), masks=(1,), finish_reason="stop", logprobs=logprobs)


def one_token(**fields: Any) -> Row:
    return Row(tokens=(1,), masks=(1,), finish_reason="stop", **fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"logprobs": (-1.0,)},
        {"top_tokens": (1, 2), "top_logprobs": (-1.0, -2.0)},
        {"text": "a"},
    ],
)
def test_all_rows_of_a_job_have_a_column_or_none_has(fields: dict[str, Any]) -> None:
    SampledRows(rows=(one_token(**fields),) * 2)
    with pytest.raises(ValidationError, match=r"rows with \w+ beside rows without"):
        SampledRows(rows=(one_token(), one_token(**fields)))


@pytest.mark.parametrize(
    ("tokens", "likely"),
    [((1, 2), None), (None, (-1.0,)), ((1, 2), (-1.0,)), ((), ()), ((1,), (0.5,)), ((-1,), (-1,))],
)
def test_top_tokens_come_with_a_logprob_each(tokens: Any, likely: Any) -> None:
    with pytest.raises(ValidationError):
        one_token(top_tokens=tokens, top_logprobs=likely)


def test_there_are_as_many_top_tokens_at_every_position() -> None:
    two = {"tokens": (1, 2), "masks": (1, 1), "finish_reason": "stop"}
    Row.model_validate({**two, "top_tokens": (5, 6, 7, 8), "top_logprobs": (-1.0,) * 4})
    with pytest.raises(ValidationError, match="3 top tokens for 2 tokens"):
        Row.model_validate({**two, "top_tokens": (5, 6, 7), "top_logprobs": (-1.0,) * 3})
    rows = [one_token(top_tokens=its, top_logprobs=(-1.0,) * len(its)) for its in ((1,), (1, 2))]
    with pytest.raises(ValidationError, match="more top tokens at a position"):
        SampledRows(rows=tuple(rows))


def test_rows_keep_their_order() -> None:
    rows = tuple(Row(tokens=(i,), masks=(1,), finish_reason="length") for i in range(3))
    assert [row.tokens for row in SampledRows(rows=rows).rows] == [(0,), (1,), (2,)]
