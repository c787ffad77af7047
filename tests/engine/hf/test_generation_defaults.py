"""A checkpoint's own generation defaults stand where a request says nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from engine import Engine, ModelError, Request, RowResult, SamplingParams
from engine.fingerprint import fingerprint
from engine.generation_defaults import GenerationDefaults
from engine.models import load_model
from engine.models.hf.model import TransformersModel
from tests.engine.hf.conftest import Checkpoint
from tests.vocab.hf_folder import write_tokenizer

PROMPT = [5, 9, 14, 3]


@pytest.fixture
def folder(checkpoint: Checkpoint, tmp_path: Path) -> Path:
    return shutil.copytree(checkpoint("llama"), tmp_path / "copy")


def load(folder: Path, **fields: Any) -> TransformersModel:
    (folder / "generation_config.json").write_text(json.dumps(fields))
    model, _ = load_model(folder)
    assert isinstance(model, TransformersModel)
    return model


def row(model: TransformersModel, **params: Any) -> RowResult:
    engine = Engine(model, None)
    fields = {"max_tokens": 24, "seed": 11} | params
    engine.submit(Request(id="a", prompt_tokens=PROMPT, params=SamplingParams(**fields)))
    results = []
    while engine.has_work:
        results += engine.step()
    return results[0].rows[0]


def test_what_a_request_leaves_open_is_the_models_own(folder: Path) -> None:
    said = {"temperature": 0.7, "top_k": 5, "top_p": 0.9, "repetition_penalty": 1.3}
    plain, with_defaults = load(folder), load(folder, do_sample=True, min_p=0.01, **said)
    assert with_defaults.generation_defaults == GenerationDefaults(min_p=0.01, **said)
    expected = row(plain, min_p=0.01, **said)
    assert row(with_defaults) == expected != row(plain)


def test_what_a_request_says_stands(folder: Path) -> None:
    neutral = {"temperature": 1.0, "top_k": 97, "top_p": 1.0, "repetition_penalty": 1.0}
    plain, with_defaults = load(folder), load(folder, temperature=0.1, top_k=2, top_p=0.5)
    assert row(with_defaults, **neutral) == row(plain, **neutral)


@pytest.mark.parametrize(
    ("fields", "temperature"),
    [
        ({}, 1.0),
        ({"do_sample": True}, 1.0),
        ({"do_sample": False}, 0.0),
        ({"do_sample": False, "temperature": 0.6}, 0.6),
        ({"temperature": 0}, 0),
    ],
)
def test_greedy_is_what_says_so_and_names_no_temperature(
    folder: Path, fields: dict[str, Any], temperature: float
) -> None:
    assert load(folder, **fields).generation_defaults.temperature == temperature


@pytest.mark.parametrize(
    "fields",
    [
        {"top_k": 0, "top_p": 1.0, "min_p": 0},
        {"top_k": -1, "top_p": 1, "min_p": 0.0, "repetition_penalty": 1.0},
        {"temperature": None, "top_k": None, "top_p": None, "repetition_penalty": None},
    ],
)
def test_what_a_file_switches_off_is_off(folder: Path, fields: dict[str, Any]) -> None:
    assert row(load(folder, **fields)) == row(load(folder))


def test_a_top_p_of_0_leaves_the_likeliest_token_as_in_transformers(folder: Path) -> None:
    model = load(folder, top_p=0)
    assert row(model).tokens == row(model, temperature=0.0).tokens != row(model, top_p=1.0).tokens


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"temperature": "hot"}, "temperature"),
        ({"top_p": 2}, "top_p"),
        ({"top_p": -0.1}, "top_p"),
        ({"top_k": -2}, "top_k"),
        ({"top_k": 2.5}, "top_k"),
        ({"min_p": 1.5}, "min_p"),
        ({"repetition_penalty": 0}, "repetition_penalty"),
        ({"eos_token_id": "end"}, "eos_token_id"),
    ],
)
def test_bad_defaults_are_refused_by_name(folder: Path, fields: dict[str, Any], name: str) -> None:
    with pytest.raises(ModelError, match=rf"generation_config\.json: {name}"):
        load(folder, **fields)


def test_rows_end_at_any_of_the_end_tokens(folder: Path) -> None:
    tokens = row(load(folder, eos_token_id=96), temperature=0.0).tokens
    second = next(token for token in tokens if token != tokens[0])
    ended = row(load(folder, eos_token_id=[96, second]), temperature=0.0)
    assert ended.finish_reason == "stop"
    assert ended.tokens == tokens[: tokens.index(second) + 1]


def test_an_end_token_that_the_model_lacks_ends_nothing(folder: Path) -> None:
    model = load(folder, eos_token_id=[7, 97, 50_256, -1])
    assert model.end_tokens == {7}
    assert len(row(model, min_tokens=4).tokens) >= 4


def test_without_a_generation_config_the_configs_end_token_counts(folder: Path) -> None:
    (folder / "generation_config.json").unlink()
    assert load_model(folder)[0].end_tokens == {2}


def test_where_a_model_names_no_end_its_tokenizer_does(folder: Path) -> None:
    model = load(folder, eos_token_id=[])
    _, tokenizer = load_model(write_tokenizer(folder))
    assert model.end_tokens == frozenset() and tokenizer is not None
    assert tokenizer.get_end_token_ids() == {258}


def test_defaults_and_end_tokens_are_in_the_fingerprint(folder: Path) -> None:
    changes: list[dict[str, Any]] = [{}, {"temperature": 0.5}, {"eos_token_id": [3]}]
    assert len({fingerprint(load(folder, **fields)) for fields in changes}) == 3
    assert fingerprint(load(folder)) == fingerprint(load(folder))


def test_the_folders_name_is_not_in_the_fingerprint(folder: Path, tmp_path: Path) -> None:
    other = shutil.copytree(folder, tmp_path / "elsewhere")
    assert fingerprint(load(folder)) == fingerprint(load(other))
