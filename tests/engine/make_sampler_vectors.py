"""Writes data/sampler_v1.json, the test vectors of docs/sampler.md, by the plain-Python sampler.

    python -m tests.engine.make_sampler_vectors

Version 1 is public: vectors may be added, and none may change.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.engine.reference_controls import controlled
from tests.engine.reference_sampler import draw, float32, philox, uniform
from tests.engine.sampler_cases import (
    CASES,
    CONTROLS,
    POSITIONS,
    ROWS,
    SEEDS,
    Case,
    ControlsCase,
    mixed_cases,
)
from tests.engine.sampler_edges import hinges_on_exp

PATH = Path(__file__).parent / "data" / "sampler_v1.json"

_KEYS = [(0, 0), (42, 1), (2**64 - 1, 7)]
_STREAMS = [*_KEYS, (0, 1), (1, 0), (42, 0), (1, 42)]
_PLACES = [(*stream, position) for stream in _STREAMS for position in range(3)]
_PLACES += [(42, 1, position) for position in POSITIONS[3:]]
_PLACES += [(seed, 0, 0) for seed in SEEDS[3:]] + [(42, row, 0) for row in ROWS[2:]]


def vectors() -> dict[str, list[dict[str, Any]]]:
    return {
        "blocks": [_block(counter, *key) for key in _KEYS for counter in range(3)],
        "uniforms": [{**_place(*each), "uniform": uniform(*each).hex()} for each in _PLACES],
        "draws": [_draw(case) for case in [*CASES, *mixed_cases()]],
        "controls": [_controls(case) for case in CONTROLS],
    }


def text() -> str:
    """The file: a vector a line."""
    sections = (
        f'  "{name}": [\n' + ",\n".join(f"    {json.dumps(each)}" for each in entries) + "\n  ]"
        for name, entries in vectors().items()
    )
    return '{\n  "specification": 1,\n' + ",\n".join(sections) + "\n}\n"


def _block(counter: int, seed: int, row: int) -> dict[str, Any]:
    words = [f"{word:#018x}" for word in philox(counter, (seed, row))]
    return {"seed": str(seed), "row": str(row), "counter": counter, "words": words}


def _place(seed: int, row: int, position: int) -> dict[str, Any]:
    """Seeds and rows as text: many readers of JSON round integers above 2^53."""
    return {"seed": str(seed), "row": str(row), "position": position}


def _draw(case: Case) -> dict[str, Any]:
    name, logits, params, at = case
    number = at if isinstance(at, float) else uniform(*at)
    token = draw(logits, number, **params)
    assert token is None or not hinges_on_exp(logits, number, **params), name
    return {
        "name": name,
        "logits": _written(logits),
        "temperature": 1.0,
        **params,
        **({} if isinstance(at, float) else _place(*at)),
        "uniform": number.hex(),
        "token": token,
    }


def _controls(case: ControlsCase) -> dict[str, Any]:
    name, given, params = case
    logits = float32(given)
    its = {"prompt": [0], "row": [], **params}
    expected = controlled(logits, **its)
    biases = {str(token): bias for token, bias in its.get("logit_bias", {}).items()}
    written = {"logits": _written(logits), **its, **({"logit_bias": biases} if biases else {})}
    return {"name": name, **written, "controlled": _written(expected)}


def _written(logits: Sequence[float]) -> list[float | str]:
    return [logit if math.isfinite(logit) else str(logit) for logit in logits]


if __name__ == "__main__":
    PATH.write_text(text(), encoding="ascii")
