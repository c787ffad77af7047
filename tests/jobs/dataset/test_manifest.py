"""A folder goes on with the configuration that it was made with, also if an earlier version did."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jobs.dataset.config import SamplingConfig
from jobs.dataset.errors import FolderError
from jobs.dataset.manifest import Manifest

OPTIONS: dict[str, Any] = {"num_samples": 2, "max_tokens": 40, "top_k": 20, "chat": True}
# As it was written before sampling had more controls, by `rowmill sample` with OPTIONS.
FORMAT_1 = """{
  "format": 1,
  "run_id": "fc0ce2021b14e30f",
  "config": {
    "num_samples": 2,
    "max_tokens": 40,
    "temperature": 1.0,
    "top_k": 20,
    "top_p": null,
    "min_p": null,
    "seed": 0,
    "prompt_column": null,
    "id_column": "id",
    "chat": true,
    "limit": null,
    "shard": null,
    "inputs_per_part": 1000,
    "logprobs": false,
    "text": false,
    "prompts": false
  },
  "inputs": [
    {
      "name": "prompts.jsonl",
      "num_bytes": 15656,
      "sha256": "e2f73bc6a7226cc50ce6699ae14eb7d7ccf0a7a4e59517888bed445b8535b9c4"
    }
  ],
  "num_inputs": 200,
  "tokenizer": "f27459f9aa5216b7da4593102076dc705dcc2f655c3cf153fa6a3619876abbb8",
  "model": "577c6cba238fff744fe8dae168f80a65c6563e583db777a084a475590976aa6a",
  "versions": {
    "rowmill": "0.1.0",
    "pyarrow": "26.0.1"
  }
}
"""
CONTROLS: dict[str, Any] = {
    "stop": ["\n"],
    "logit_bias": {5: -1.5},
    "bad_words": ["a", [1, 2]],
    "json_schema": {"type": "object"},
    "logprobs": True,
    "top_logprobs": 3,
    "return_prompt_logprobs": True,
}


def read(folder: Path, text: str) -> Manifest:
    path = folder / "manifest.json"
    path.write_text(text)
    return Manifest.read(path)


def now(folder: Path, **options: Any) -> Manifest:
    """What the same command would write today."""
    its = {**OPTIONS, **options}
    return read(folder, FORMAT_1).model_copy(
        update={"format": 2, "config": SamplingConfig.parse(its)}
    )


@pytest.mark.parametrize("options", [{}, {"temperature": 1.0}])
def test_a_folder_of_before_goes_on_with_its_own_options(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    new = now(tmp_path, **options)
    old = read(tmp_path, FORMAT_1).in_this_format(new.config)
    assert old == new
    assert old.differences(new) == ()


@pytest.mark.parametrize(
    ("options", "difference"),
    [
        ({"temperature": 0.5}, "temperature: 1.0 in the folder, 0.5 now"),
        ({"stop": ["\n"]}, "stop: () in the folder, ('\\n',) now"),
        ({"logprobs": True}, "logprobs: False in the folder, True now"),
        ({"logit_bias": {5: 1}}, "logit_bias: () in the folder, ((5, 1.0),) now"),
    ],
)
def test_a_folder_of_before_refuses_other_options(
    tmp_path: Path, options: dict[str, Any], difference: str
) -> None:
    new = now(tmp_path, **options)
    assert read(tmp_path, FORMAT_1).in_this_format(new.config).differences(new) == (difference,)


def test_the_model_s_own_temperature_and_1_are_not_the_same(tmp_path: Path) -> None:
    """A model may come with another one."""
    old, new = now(tmp_path), now(tmp_path, temperature=1.0)
    assert old.in_this_format(new.config).differences(new) == (
        "temperature: nothing in the folder, 1.0 now",
    )


def test_every_control_comes_back_from_the_file(tmp_path: Path) -> None:
    manifest = now(tmp_path, **CONTROLS)
    assert read(tmp_path, manifest.model_dump_json(indent=2)) == manifest


def test_a_format_to_come_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="format 3; this version reads 2"):
        read(tmp_path, FORMAT_1.replace('"format": 1', '"format": 3'))
