"""Writes data/nanochat_2026.json: what nanochat itself makes of the models of `nanochat_cases`.

    python -m tests.engine.make_nanochat_vectors CHECKOUT

CHECKOUT is a clone of nanochat. Of its code none is here; it is run as it is, in float32 on a CPU:
its engine for the tokens, its model over the whole sequence for their logits.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from tests.engine.nanochat_cases import CASES, NUM_TOKENS, Case, weights_like

PATH = Path(__file__).parent / "data" / "nanochat_2026.json"
_LEAST_MARGIN = 1e-3
"""Between the likeliest token and the next: less could hide in rounding."""


class _NoTokenizer:
    """No token ends a row."""

    def encode_special(self, name: str) -> int:
        return -1

    def get_bos_token_id(self) -> int:
        return -1


def vectors(checkout: Path) -> dict[str, Any]:
    sys.path.insert(0, str(checkout))
    # Imported by its engine for its own command line alone, and in need of a tokenizer's trainer.
    sys.modules["nanochat.checkpoint_manager"] = ModuleType("nanochat.checkpoint_manager")
    sys.modules["nanochat.checkpoint_manager"].load_model = None  # type: ignore[attr-defined]
    gpt, engine = import_module("nanochat.gpt"), import_module("nanochat.engine")
    commit = subprocess.check_output(["git", "-C", checkout, "rev-parse", "HEAD"], text=True)
    return {
        "commit": commit.strip(),
        "torch": torch.__version__,
        "cases": {name: _rows(case, gpt, engine) for name, case in CASES.items()},
    }


def _rows(case: Case, gpt: Any, engine: Any) -> list[dict[str, Any]]:
    model = gpt.GPT(gpt.GPTConfig(**dataclasses.asdict(case.config)))
    model.init_weights()
    model.load_state_dict(weights_like(model.state_dict(), case.seed))
    model.eval()
    return [_row(prompt, model, engine) for prompt in case.prompts()]


@torch.inference_mode()
def _row(prompt: list[int], model: Any, engine: Any) -> dict[str, Any]:
    columns = engine.Engine(model, _NoTokenizer()).generate(
        prompt, max_tokens=NUM_TOKENS, temperature=0.0
    )
    tokens = [column[0] for column, _ in columns]
    logits_TV: Tensor = model(torch.tensor([prompt + tokens]))[0, len(prompt) - 1 : -1].double()
    best = logits_TV.topk(2, dim=-1)
    assert best.indices[:, 0].tolist() == tokens, "its ways to generate differ"
    margin = (best.values[:, 0] - best.values[:, 1]).min().item()
    assert margin > _LEAST_MARGIN, f"{len(prompt)} tokens: {margin}"
    logprobs = logits_TV.log_softmax(-1).gather(-1, best.indices[:, :1])[:, 0]
    return {
        "prompt_length": len(prompt),
        "tokens": tokens,
        "logprobs": _rounded(logprobs),
        "last_logits": _rounded(logits_TV[-1]),
    }


def _rounded(numbers: Tensor) -> list[float]:
    return [round(number, 7) for number in numbers.tolist()]


def text(checkout: Path) -> str:
    """The file: a row a line."""
    found = vectors(checkout)
    cases = ",\n".join(
        f'    "{name}": [\n' + ",\n".join(f"      {json.dumps(row)}" for row in rows) + "\n    ]"
        for name, rows in found.pop("cases").items()
    )
    return json.dumps(found, indent=2)[:-2] + f',\n  "cases": {{\n{cases}\n  }}\n}}\n'


if __name__ == "__main__":
    PATH.write_text(text(Path(sys.argv[1])), encoding="ascii")
