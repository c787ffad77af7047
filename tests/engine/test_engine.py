"""The engine's two faces: nanochat's `generate`, and requests that are submitted and stepped."""

from __future__ import annotations

import math
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor

from engine import (
    Engine,
    EngineConfig,
    EngineError,
    KVCache,
    Request,
    RequestError,
    SchedulingError,
)
from tests.engine.models import ScriptedModel, SeedModel, random_model
from tests.engine.runs import drain, new_engine, prompt_of, request, run_all
from vocab import ByteTokenizer

TOKENIZER = ByteTokenizer()
BOS, END = TOKENIZER.get_bos_token_id(), TOKENIZER.encode_special("<|assistant_end|>")
PROMPT = [BOS, *b"Hello"]


@pytest.fixture(params=["packed", "seed"])
def model(request: pytest.FixtureRequest) -> Any:
    """One model through both interfaces, with the byte tokenizer's vocabulary."""
    packed = random_model(4, 2, 8, 1, 265, sequence_len=128)
    return packed if request.param == "packed" else SeedModel(packed)


def test_each_sample_draws_its_own_first_token(model: Any) -> None:
    ((first_tokens, masks),) = new_engine(model, TOKENIZER).generate(
        PROMPT, num_samples=16, max_tokens=1, temperature=3.0
    )
    assert len(first_tokens) == len(masks) == 16
    assert len(set(first_tokens)) > 4


def test_generate_gives_columns_of_the_rows_that_submit_gives(model: Any) -> None:
    params = {"max_tokens": 60, "temperature": 2.0, "top_k": 200, "seed": 3}
    columns = list(new_engine(model, TOKENIZER).generate(PROMPT, num_samples=9, **params))
    rows = run_all(model, [request("a", PROMPT, 9, **params)], TOKENIZER)["a"]
    assert len({len(row.tokens) for row in rows}) > 1, "choose a seed of which some rows end early"
    assert len(columns) == max(len(row.tokens) for row in rows)
    for index, row in enumerate(rows):
        ended = len(columns) - len(row.tokens)
        # A row that has ended repeats its last token with mask 0.
        assert [column[index] for column, _ in columns] == row.tokens + row.tokens[-1:] * ended
        assert [masks[index] for _, masks in columns] == row.masks + [0] * ended


def test_generate_batch_includes_the_prompt_and_excludes_what_ends_a_row(model: Any) -> None:
    params = {"max_tokens": 60, "temperature": 2.0, "seed": 3}
    results, masks = new_engine(model, TOKENIZER).generate_batch(PROMPT, 9, **params)
    rows = run_all(model, [request("a", PROMPT, 9, **params)], TOKENIZER)["a"]
    assert {row.finish_reason for row in rows} == {"stop", "length"}
    for row, result, mask in zip(rows, results, masks, strict=True):
        is_stopped = row.finish_reason == "stop"
        assert is_stopped == (row.tokens[-1] in (BOS, END))
        assert result == PROMPT + row.tokens[: len(row.tokens) - is_stopped]
        assert mask == [0] * len(PROMPT) + row.masks[: len(row.tokens) - is_stopped]


def test_generate_runs_on_until_the_context_is_full(model: Any) -> None:
    columns = list(new_engine(model).generate(PROMPT, temperature=0))
    assert len(columns) == 128 - len(PROMPT)


def test_generate_raises_at_the_call_and_not_at_the_first_column(model: Any) -> None:
    engine = new_engine(model)
    with pytest.raises(RequestError, match="num_samples"):
        engine.generate(PROMPT, num_samples=0)
    engine.generate(PROMPT)  # nobody asks for a column
    assert not engine.has_work


def test_generate_takes_max_tokens_as_a_ceiling(model: Any) -> None:
    columns = list(new_engine(model).generate(PROMPT, max_tokens=10_000, temperature=0))
    assert len(columns) == 128 - len(PROMPT)


@pytest.mark.parametrize("num_tokens", [4, 20])
def test_generate_shares_the_batch_and_keeps_what_others_finish(
    model: Any, num_tokens: int
) -> None:
    mix = [request(name, PROMPT, 2, max_tokens=9, seed=7) for name in "ab"]
    alone = list(new_engine(model).generate(PROMPT, max_tokens=num_tokens))
    engine = new_engine(model)
    for each in mix:
        engine.submit(each)
    assert list(engine.generate(PROMPT, max_tokens=num_tokens)) == alone
    assert drain(engine) == run_all(model, mix)


def test_two_streams_may_be_read_in_turns_and_one_left_unread(model: Any) -> None:
    engine = new_engine(model)
    alone = list(engine.generate(PROMPT, max_tokens=6))
    first, second = (engine.generate(PROMPT, max_tokens=6) for _ in range(2))
    next(second)
    assert list(first) == alone
    second.close()  # type: ignore[attr-defined]
    assert not engine.has_work
    assert engine.kv_tokens == 0


def test_a_stream_says_what_broke_it_also_where_it_broke_as_another_was_read() -> None:
    model = random_model(4, 2, 8, 1, 265, sequence_len=128)
    (row,) = run_all(model, [request("a", PROMPT, temperature=0, max_tokens=9)])["a"]
    poison = row.tokens[3]
    model.transformer.wte.weight.data[poison] = math.nan
    engine = new_engine(model)
    broken, other = (engine.generate(its, temperature=0, max_tokens=9) for its in (PROMPT, [1]))
    assert next(broken) == ([row.tokens[0]], [1])
    assert len(list(other)) == 9
    with pytest.raises(EngineError, match="not finite"):
        list(broken)


def test_busy_are_the_rows_that_run_and_those_that_are_to_start(model: Any) -> None:
    engine = new_engine(model, max_rows=4)
    for name, num_rows in {"runs in waves": 6, "is cancelled": 3, "waits": 2}.items():
        engine.submit(request(name, PROMPT, num_rows, max_tokens=2))
    assert engine.num_busy_rows == 11
    engine.cancel("is cancelled")
    counts = [engine.num_busy_rows]
    while engine.has_work:
        engine.step()
        counts.append(engine.num_busy_rows)
    assert counts == [8, 8, 4, 4, 0]


def test_no_row_is_busy_once_its_request_is_cancelled(model: Any) -> None:
    engine = new_engine(model, max_rows=4)
    engine.submit(request("a", PROMPT, 6, max_tokens=2))
    engine.step()
    engine.cancel("a")
    assert engine.num_busy_rows == 0


class FailingModel(SeedModel):
    """Fails once it has run for a while."""

    def forward(self, ids: Tensor, kv_cache: KVCache | None = None) -> Tensor:
        if kv_cache is not None and kv_cache.get_pos() == len(PROMPT) + 2:
            raise ArithmeticError("no sense")
        return super().forward(ids, kv_cache)


def test_a_step_that_failed_is_the_engines_last() -> None:
    engine = new_engine(FailingModel(random_model(4, 2, 8, 1, 265, sequence_len=128)))
    engine.submit(request("a", PROMPT, max_tokens=9))
    with pytest.raises(ArithmeticError):
        drain(engine)
    with pytest.raises(SchedulingError, match="has failed"):
        engine.step()


def test_logits_that_are_not_finite_end_their_request_and_no_other(model: Any) -> None:
    packed = random_model(4, 2, 8, 1, 265, sequence_len=128)
    packed.transformer.wte.weight.data[7] = math.nan
    its_model = packed if not isinstance(model, SeedModel) else SeedModel(packed)
    engine = new_engine(its_model)
    good = request("good", PROMPT, 3, max_tokens=5, temperature=0)
    engine.submit(request("bad", [1, 7], 2, max_tokens=5))
    engine.submit(good)
    results = {}
    while engine.has_work:
        results.update((result.request_id, result) for result in engine.step())
    assert "row 0, position 0" in str(results["bad"].error)
    assert {row.finish_reason for row in results["bad"].rows} == {"error"}
    assert results["good"].error is None
    assert {"good": results["good"].rows} == run_all(its_model, [good])
    with pytest.raises(EngineError, match="not finite"):
        list(new_engine(its_model).generate([1, 7]))


class CompanyLinear(torch.nn.Linear):
    """A layer whose results tell how many rows they were made with."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + x.size(0) * 1e-6


def test_the_engine_says_when_products_depend_on_company() -> None:
    model = random_model(4, 2, 8, 1, 265, sequence_len=128)
    assert new_engine(model).is_invariant
    model.transformer.h[0].mlp.c_fc = CompanyLinear(32, 128, bias=False)
    assert not new_engine(model).is_invariant


def test_a_request_has_to_name_its_own_length_where_there_is_a_limit(model: Any) -> None:
    engine = new_engine(model, max_new_tokens=100)
    with pytest.raises(RequestError, match="max_tokens: must be given here, from 1 to 100"):
        engine.submit(request("a", PROMPT))
    engine.submit(request("b", [1] * 100))  # the context leaves less than the limit


@pytest.mark.parametrize("end", [BOS, END])
def test_a_token_that_ends_a_row_is_its_last(end: int) -> None:
    model = ScriptedModel(len(PROMPT), [65, 66, end, 67])
    rows = run_all(model, [request("a", PROMPT, 2, max_tokens=9)], TOKENIZER)["a"]
    assert [(row.tokens, row.finish_reason) for row in rows] == [([65, 66, end], "stop")] * 2
    (row,) = run_all(model, [request("a", PROMPT, max_tokens=4)])["a"]
    assert (row.tokens, row.finish_reason) == ([65, 66, end, 67], "length")


def test_more_samples_than_rows_run_in_waves_and_finished_rows_leave(model: Any) -> None:
    engine = new_engine(model, max_rows=4)
    engine.submit(request("a", PROMPT, 10, max_tokens=3))
    engine.submit(request("b", [1], 1, max_tokens=1))
    running = []
    while engine.has_work:
        engine.step()
        running.append(engine.num_running_rows)
    # Rows leave in the step of their last token; those that wait start in the next.
    assert running == [4, 4, 0, 4, 4, 0, 2, 2, 0]
    assert engine.stats.tokens == 31
    assert engine.stats.prompt_tokens == len(PROMPT) + 1
    assert engine.stats.steps == 9


def test_a_result_comes_with_the_step_of_the_last_row() -> None:
    model = random_model()
    engine = new_engine(model)
    engine.submit(request("short", [1], 2, max_tokens=2))
    engine.submit(request("long", [2], 3, max_tokens=4))
    finished = [[result.request_id for result in engine.step()] for _ in range(5)]
    assert finished == [[], ["short"], [], ["long"], []]
    assert not engine.has_work


def test_an_idle_engine_steps_to_nothing(model: Any) -> None:
    engine = new_engine(model)
    assert not engine.has_work and engine.step() == [] and engine.stats.steps == 0


def test_a_name_in_use_is_refused_until_its_request_is_done(model: Any) -> None:
    engine = new_engine(model)
    engine.submit(request("a", [1], max_tokens=2))
    with pytest.raises(SchedulingError, match="'a' is already in the engine"):
        engine.submit(request("a", [2], max_tokens=2))
    first = drain(engine)
    engine.submit(request("a", [1], max_tokens=2))
    assert drain(engine) == first


@pytest.mark.parametrize("num_steps", range(9))
def test_cancel_in_any_phase_frees_everything(model: Any, num_steps: int) -> None:
    """Waiting, starting, running and between waves."""
    engine = new_engine(model, max_rows=2, max_prefill_tokens=1, kv_budget_tokens=4096)
    mix = [request(str(n), prompt_of(20, n), 9, max_tokens=3) for n in range(3)]
    left = set()
    for _ in range(3):
        for each in mix:
            engine.submit(each)
        for _ in range(num_steps):
            engine.step()
        assert all(engine.cancel(each.id) for each in mix)
        assert not engine.has_work and engine.num_running_rows == 0
        assert not any(engine.cancel(each.id) for each in mix)
        left.add(engine.kv_tokens)
    assert len(left) == 1, "memory is lost with each round"
    # Nothing hinders a request that needs all of it, and nothing of the others is left in it.
    engine.submit(request("a", prompt_of(60, 1), 2, max_tokens=60))
    after = drain(engine)
    assert after == run_all(model, [request("a", prompt_of(60, 1), 2, max_tokens=60)])


@pytest.mark.parametrize("num_steps", [1, 2, 3])
def test_cancel_amid_a_prompts_chunks_frees_everything(num_steps: int) -> None:
    model = random_model(2, 1, 8, 1, sequence_len=1300)
    engine = new_engine(model, max_prefill_tokens=1)
    engine.submit(request("a", prompt_of(1200, 1), max_tokens=9))
    for _ in range(num_steps):
        engine.step()
    assert engine.cancel("a") and not engine.has_work
    each = request("b", prompt_of(1100, 2), max_tokens=9)
    engine.submit(each)
    assert drain(engine) == run_all(model, [each])


def test_cancel_says_whether_the_engine_had_the_request(model: Any) -> None:
    engine = new_engine(model)
    engine.submit(request("a", [1], max_tokens=1))
    assert not engine.cancel("b")
    drain(engine)
    assert not engine.cancel("a")


BAD_PARAMS: list[tuple[str, Any]] = [
    *(("max_tokens", value) for value in (0, -1, 1.0, True, "4", 2**40, 10**5000)),
    *(("temperature", v) for v in (-0.1, math.nan, math.inf, -math.inf, "1", True, 10**400)),
    *(("top_k", value) for value in (0, -1, 1.5, True, "4", 10**5000)),
    *(("logprobs", value) for value in (0, 1, None, "yes")),
    *(("top_p", value) for value in (0, 0.0, -0.5, 1.5, math.nan, "1", True)),
    *(("min_p", value) for value in (-0.1, 1.1, math.nan, math.inf, "0", False)),
    *(("seed", value) for value in (-1, 2**64, 1.0, True, "1", None, 10**5000)),
]


@pytest.mark.parametrize(("field", "value"), BAD_PARAMS, ids=lambda value: str(type(value)))
def test_a_bad_parameter_is_named(field: str, value: Any) -> None:
    with pytest.raises(RequestError, match=f"^{field}: ") as caught:
        request("a", [1], **{field: value})
    assert caught.value.field == field
    assert isinstance(caught.value, EngineError) and isinstance(caught.value, ValueError)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (copy.field, str(copy)) == (field, str(caught.value))


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        *(("id", {"id": value}) for value in ("", None, 3, b"a")),
        *(("num_samples", {"num_samples": v}) for v in (0, -1, 1.0, True, "2", None, 2**40)),
        *(("first_row", {"first_row": v}) for v in (-1, 1.0, True, "2", None, 2**31 - 1)),
        ("first_row", {"num_samples": 9, "first_row": 2**31 - 9}),
        *(("prompt_tokens", {"prompt_tokens": v}) for v in ([], (), None, 3, "abc", b"abc", {1})),
        *(("prompt_tokens", {"prompt_tokens": [1, v]}) for v in (True, 1.0, "1", None, [1])),
        ("params", {"params": None}),
        ("params", {"params": {"max_tokens": 3}}),
    ],
)
def test_a_bad_request_is_named(field: str, fields: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match=f"^{field}: ") as caught:
        Request(**{"id": "a", "prompt_tokens": [1], **fields})
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("field", "limit", "bad"),
    [
        ("prompt_tokens", "264", request("bad", [1, 265])),
        ("prompt_tokens", "264", request("bad", [-1, 2])),
        ("prompt_tokens", "264", request("bad", [10**5000])),
        ("prompt_tokens", "127", request("bad", [1] * 128)),
        ("num_samples", "8", request("bad", [1], 9)),
        ("max_tokens", "100", request("bad", [1], max_tokens=101)),
        ("max_tokens", "28", request("bad", [1] * 100, max_tokens=29)),
    ],
)
def test_what_the_engine_cannot_run_is_refused_and_harms_no_neighbour(
    model: Any, field: str, limit: str, bad: Request
) -> None:
    engine = new_engine(model, max_num_samples=8, max_new_tokens=100)
    neighbour = request("a", PROMPT, 3, max_tokens=5)
    engine.submit(neighbour)
    engine.step()
    with pytest.raises(RequestError, match=f"^{field}: .*{limit}") as caught:
        engine.submit(bad)
    assert caught.value.field == field
    assert not engine.cancel("bad")
    assert drain(engine) == run_all(model, [neighbour])


def test_what_just_fits_is_run(model: Any) -> None:
    mix = [request("a", [264] * 127), request("b", [0] * 100, 8, max_tokens=28)]
    results = run_all(model, mix, max_num_samples=8, max_new_tokens=100)
    assert [len(row.tokens) for row in results["a"]] == [1]
    assert [len(row.tokens) for row in results["b"]] == [28] * 8


@pytest.mark.parametrize("name", ["max_rows", "kv_budget_tokens", "max_prefill_tokens"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "4", True])
def test_a_bad_setting_is_named(name: str, value: Any) -> None:
    with pytest.raises(EngineError, match=f"{name} must be an integer of at least 1"):
        EngineConfig(**{name: value})


def test_without_a_budget_the_engine_takes_one_from_the_machine() -> None:
    assert Engine(random_model(), None).kv_budget_tokens > 1000


def test_started_rows_are_counted_once_each_and_every_other_token_follows_one(model: Any) -> None:
    engine = new_engine(model, TOKENIZER, max_rows=4)
    for name in ("a", "b", "c"):
        engine.submit(request(name, PROMPT, 3, max_tokens=7, seed=1))
    results = drain(engine)
    num_tokens = sum(len(row.tokens) for rows in results.values() for row in rows)
    assert engine.stats.started_rows == 9
    assert engine.stats.tokens == num_tokens


def test_a_result_tells_its_moments_in_their_order(model: Any) -> None:
    engine = new_engine(model, TOKENIZER, max_rows=2)
    engine.submit(request("a", PROMPT, 2, max_tokens=9, seed=1))
    engine.submit(request("b", PROMPT, 1, max_tokens=2, seed=1))
    assert engine.num_running_requests == 0, "nothing is admitted before a step"
    engine.step()
    assert engine.num_running_requests == 1, "there is no row for the second"
    results = []
    while engine.has_work:
        results += engine.step()
    assert engine.num_running_requests == 0
    moments = []
    for result in results:
        times = result.times
        assert times is not None and times.admitted_at is not None
        assert times.first_token_at is not None
        moments.append([times.submitted_at, times.admitted_at, times.first_token_at, times.done_at])
    assert all(its == sorted(its) for its in moments)
    assert moments[1][1] >= moments[0][2], "the second waited for the first"
