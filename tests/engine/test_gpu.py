"""What is expected of a CUDA device."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from engine import RequestResult
from engine.models import demo_prompt, load_model
from tests.engine.models import SHAPES, random_model
from tests.engine.runs import drain, new_engine, prompt_of, request, run_all

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device here"),
]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_demo_model_answers(dtype: str) -> None:
    model, tokenizer = load_model("demo", device="cuda", dtype=dtype)
    assert tokenizer is not None
    prompt = demo_prompt("What is 37 * 48?", tokenizer)
    for row in run_all(model, [request("a", prompt, 4)], tokenizer)["a"]:
        assert "1776" in tokenizer.decode(row.tokens)


@pytest.mark.parametrize("shape", SHAPES)
def test_rows_are_the_same_at_any_max_rows(shape: tuple[int, ...]) -> None:
    model = random_model(*shape, is_chaotic=True).to("cuda")
    mix = [request(str(n), prompt_of(n, n), n % 7 + 1, max_tokens=20) for n in (1, 64, 65, 150)]
    assert run_all(model, mix, max_rows=16) == run_all(model, mix, max_rows=1)


def test_cancelling_a_neighbour_changes_nothing() -> None:
    model, _ = load_model("demo", device="cuda", dtype="float32")
    kept, cancelled = (request(str(n), prompt_of(40, n), 3, max_tokens=20) for n in range(2))
    engine = new_engine(model)
    engine.submit(cancelled)
    engine.submit(kept)
    for _ in range(5):
        engine.step()
    assert engine.cancel(cancelled.id)
    assert drain(engine) == run_all(model, [kept])


@pytest.fixture
def little_memory() -> Iterator[None]:
    """Torch may take 256 MiB more than it holds now, and gets all of its memory back afterwards."""
    torch.cuda.init()
    torch.cuda.empty_cache()
    most = torch.cuda.memory_reserved() + 256 * 2**20
    torch.cuda.set_per_process_memory_fraction(most / torch.cuda.mem_get_info()[1])
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)


def test_only_what_does_not_fit_alone_fails_where_memory_runs_out(little_memory: None) -> None:
    """A token's keys and values take 32 KiB: all small ones together do not fit."""
    model = random_model(2, 2, 32, 64, 70, sequence_len=16_384, is_chaotic=True).to("cuda")
    small = [request(str(n), prompt_of(20 + n, n), 4, max_tokens=70) for n in range(20)]
    engine = new_engine(model, kv_budget_tokens=10**8)
    for each in [*small[:10], request("large", prompt_of(16_000, 9), max_tokens=8), *small[10:]]:
        engine.submit(each)
    results: dict[str, RequestResult] = {}
    while engine.has_work:
        results.update((result.request_id, result) for result in engine.step())
    assert "out of memory: 16000 prompt tokens" in (results.pop("large").error or "")
    assert engine.stats.memory_shortages > 1
    alone = {each.id: run_all(model, [each])[each.id] for each in small}
    assert {name: result.rows for name, result in results.items()} == alone
