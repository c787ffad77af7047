"""What is expected of a CUDA device."""

from __future__ import annotations

import pytest
import torch

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
