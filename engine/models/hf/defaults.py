"""A checkpoint's generation defaults, from its generation_config.json."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

from engine.errors import ModelError, RequestError
from engine.generation_defaults import GenerationDefaults
from engine.models.hf.folder import read_json
from engine.sampling_params import SamplingParams

_FILE = "generation_config.json"
_FIELDS = tuple(field.name for field in dataclasses.fields(GenerationDefaults))


def read_defaults(folder: Path, config: Any) -> tuple[GenerationDefaults, frozenset[int]]:
    """What the file says, and the tokens that end a row; those are the config's if it has none.

    `"do_sample": false`, with no temperature beside it, means greedy. transformers also takes a
    file that says nothing of `do_sample` for greedy; here such a file says nothing.
    """
    path = folder / _FILE
    fields = read_json(path) if path.is_file() else {}
    said = {name: value for name in _FIELDS if (value := fields.get(name)) is not None}
    if said.get("top_k") in (0, -1):  # transformers' word for all, and vLLM's
        del said["top_k"]
    if said.get("top_p") == 0:  # to transformers, the likeliest token alone
        said["top_p"] = sys.float_info.min
    if "temperature" not in said and fields.get("do_sample") is False:
        said["temperature"] = 0.0
    ends = fields.get("eos_token_id")
    if ends is None:
        ends = getattr(config.get_text_config(decoder=True), "eos_token_id", None)
    return _checked(path, said), _tokens(path, ends)


def _checked(path: Path, said: dict[str, Any]) -> GenerationDefaults:
    try:
        SamplingParams(**said)  # knows what each field may be
    except RequestError as error:
        raise ModelError(f"{path.name}: {error}") from error
    return GenerationDefaults(**said)


def _tokens(path: Path, ends: Any) -> frozenset[int]:
    tokens = ends if isinstance(ends, list) else [] if ends is None else [ends]
    if not all(type(token) is int for token in tokens):
        raise ModelError(f"{path.name}: eos_token_id must be token IDs, not {ends!r}")
    return frozenset(tokens)
