"""What no worker of a queue could run is refused before it is queued."""

from __future__ import annotations

import pytest

from gateway.model_limits import check_against, most_new_tokens
from jobs import GenerateJob, InvalidJobError, ModelCard

CARD = ModelCard(context_length=16, vocab_size=100, max_num_samples=8)


def job(length: int = 3, **fields: object) -> GenerateJob:
    return GenerateJob(**{"prompt_tokens": [1] * length, **fields})


@pytest.mark.parametrize(
    ("bad", "field", "limit"),
    [
        (job(16), "prompt_tokens", "at most 15 tokens for the model's context of 16"),
        (job(prompt_tokens=[1, 100]), "prompt_tokens", "from 0 to 99"),
        (job(num_samples=9), "num_samples", "at most 8"),
        (job(max_tokens=14), "max_tokens", "at most 13"),
    ],
    ids=["prompt", "vocabulary", "rows", "max_tokens"],
)
def test_a_job_beyond_a_limit_is_told_field_and_limit(
    bad: GenerateJob, field: str, limit: str
) -> None:
    with pytest.raises(InvalidJobError, match=limit) as caught:
        check_against([CARD], [job(), bad])
    assert caught.value.field == field
    assert caught.value.__notes__ == ["in the job at index 1"]


def test_a_job_at_all_limits_passes() -> None:
    check_against([CARD], [job(15, num_samples=8, max_tokens=1), job(prompt_tokens=[0, 99])])


def test_a_limit_of_new_tokens_has_to_be_named() -> None:
    card = ModelCard(context_length=16, max_new_tokens=4)
    check_against([card], [job(max_tokens=4), job(14, max_tokens=2), job(13)])
    with pytest.raises(InvalidJobError, match="given here, from 1 to 4"):
        check_against([card], [job()])
    with pytest.raises(InvalidJobError, match="at most 2 after"):
        check_against([card], [job(14, max_tokens=3)])


def test_one_worker_that_can_is_enough_and_without_any_the_check_is_left_to_it() -> None:
    check_against([CARD, ModelCard(context_length=32)], [job(20)])
    check_against([CARD, ModelCard()], [job(20)])
    check_against([], [job(10_000, prompt_tokens=[2**32 - 1])])


def test_rows_without_max_tokens_may_fill_the_longest_context() -> None:
    assert most_new_tokens([CARD, ModelCard(context_length=32)], job(10)) == 22
    assert most_new_tokens([CARD], job(max_tokens=5)) == 5
    assert most_new_tokens([ModelCard()], job()) is None
