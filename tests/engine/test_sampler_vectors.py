"""The test vectors of docs/sampler.md: the engine and the plain-Python sampler agree on them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from engine import SamplingParams
from engine.sampler import UniformStream, sample
from tests.engine import reference_sampler
from tests.engine.controls import controlled_logits
from tests.engine.make_sampler_vectors import PATH, text

VECTORS = json.loads(PATH.read_text(encoding="ascii"))
DRAWS = VECTORS["draws"]
DOCUMENT = (Path(__file__).parents[2] / "docs" / "sampler.md").read_text(encoding="utf-8")

# seed, row, position, number
Number = tuple[int, int, int, float]


def logits_of(draw: dict[str, Any]) -> list[float]:
    return [float(logit) for logit in draw["logits"]]


def params_of(draw: dict[str, Any]) -> dict[str, Any]:
    return {name: draw[name] for name in ("temperature", "top_k", "top_p", "min_p") if name in draw}


def numbers() -> list[Number]:
    """Those of the vectors, and those of the document's table."""
    vectors = [*VECTORS["uniforms"], *(draw for draw in DRAWS if "seed" in draw)]
    rows = re.findall(r"\| (\d+) \| (\d+) \| (\d+) \| (0x\S+) \|", DOCUMENT)
    assert len(rows) >= 8, "the document's table is found"
    found = [
        *((its["seed"], its["row"], its["position"], its["uniform"]) for its in vectors),
        *rows,
    ]
    return [
        (int(seed), int(row), int(position), float.fromhex(number))
        for seed, row, position, number in found
    ]


def test_the_file_is_what_the_plain_python_sampler_writes() -> None:
    """And no draw hinges on the last bit of exp: those are refused where the file is made."""
    assert PATH.read_text(encoding="ascii") == text()


def test_blocks_are_those_of_the_generators_authors() -> None:
    """Two of the known answers that Random123, the authors' library, is tested with."""
    zeros = ["0x16554d9eca36314c", "0xdb20fe9d672d0fdc", "0xd7e772cee186176b", "0x7e68b68aec7ba23b"]
    ones = ["0x87b092c3013fe90b", "0x438c3c67be8d0224", "0x9cc7d7c69cd777b6", "0xa09caebf594f0ba0"]
    assert VECTORS["blocks"][0] == {"seed": "0", "row": "0", "counter": 0, "words": zeros}
    words = reference_sampler.philox(2**256 - 1, (2**64 - 1, 2**64 - 1))
    assert [hex(word) for word in words] == ones


@pytest.mark.parametrize("number", numbers())
def test_both_draw_the_number(number: Number) -> None:
    seed, row, position, expected = number
    assert reference_sampler.uniform(seed, row, position) == expected
    assert UniformStream(seed, row)(position) == expected


@pytest.mark.parametrize("draw", DRAWS, ids=[draw["name"] for draw in DRAWS])
def test_both_draw_the_token(draw: dict[str, Any]) -> None:
    logits, params, number = logits_of(draw), params_of(draw), float.fromhex(draw["uniform"])
    assert logits == reference_sampler.float32(logits) or draw["token"] is None
    assert reference_sampler.draw(logits, number, **params) == draw["token"]
    assert sample(torch.tensor([logits]), [SamplingParams(**params)], [number]).tokens == [
        draw["token"]
    ]


CUDA = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device here"),
]


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=CUDA)])
def test_the_engine_draws_all_tokens_in_one_batch(device: str) -> None:
    """The logits are made as long as the longest, by tokens that are never drawn."""
    longest = max(len(draw["logits"]) for draw in DRAWS)
    padded = [logits_of(draw) + [float("-inf")] * (longest - len(draw["logits"])) for draw in DRAWS]
    params = [SamplingParams(**params_of(draw)) for draw in DRAWS]
    numbers = [float.fromhex(draw["uniform"]) for draw in DRAWS]
    tokens = sample(torch.tensor(padded, device=device), params, numbers).tokens
    assert tokens == [draw["token"] for draw in DRAWS]


@pytest.mark.parametrize("case", VECTORS["controls"], ids=lambda case: case["name"])
def test_the_engine_controls_logits_as_the_vectors_say(case: dict[str, Any]) -> None:
    names = ("bad_words", "min_tokens", "repetition_penalty", "frequency_penalty")
    params = {name: case[name] for name in (*names, "presence_penalty") if name in case}
    params["logit_bias"] = {int(token): its for token, its in case.get("logit_bias", {}).items()}
    params["stop_token_ids"] = case.get("ends", [])
    found = controlled_logits(logits_of(case), case["prompt"], case["row"], **params)
    expected = [float(logit) for logit in case["controlled"]]
    assert found.tolist() == pytest.approx(expected, rel=0, abs=0, nan_ok=True)
