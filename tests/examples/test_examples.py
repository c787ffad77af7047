"""The examples run as the README says, one after the other, on what the first of them sampled."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from examples.load_rows import for_trl, for_verl, groups, records, with_pandas, with_pyarrow
from examples.make_prompts import lines
from examples.pass_at_k import pass_at_k

ROOT = Path(__file__).parents[2]
PROMPTS = ROOT / "examples" / "prompts.jsonl"
NUM_PROMPTS, NUM_SAMPLES = 24, 4


def run(script: str, *arguments: str | Path, home: Path) -> str:
    """Its output. `home` takes what `datasets` keeps."""
    command = [sys.executable, f"examples/{script}.py", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HOME": str(home)}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What rejection sampling wrote, its samples among it."""
    out = tmp_path_factory.mktemp("rejection")
    arguments = ("--out", out, "--limit", NUM_PROMPTS, "--num-samples", NUM_SAMPLES)
    run("rejection_sampling", *map(str, arguments), home=out)
    return out


@pytest.fixture
def samples(kept: Path) -> Path:
    return kept / "samples"


def pairs(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "kept.jsonl").read_text().splitlines()]


def test_the_questions_are_those_that_their_script_makes() -> None:
    assert PROMPTS.read_text() == "".join(lines())


def test_rejection_sampling_keeps_each_right_text_once_with_what_is_learned_of_it(
    kept: Path, samples: Path
) -> None:
    answers = {line["id"]: line["answer"] for line in map(json.loads, lines())}
    found = pairs(kept)
    assert 0 < len(found) < len(list(records(samples))), "some rows are wrong, or come twice"
    assert len({(pair["id"], pair["completion"]) for pair in found}) == len(found)
    for pair in found:
        assert pair["completion"].endswith(f"{answers[pair['id']]}<|assistant_end|>")
        assert len(pair["input_ids"]) == len(pair["completion_mask"])
        prompt = bytes(token for token in pair["input_ids"] if token < 256).decode()
        assert prompt.startswith(pair["prompt"])
        assert sum(pair["completion_mask"]) < len(pair["input_ids"]) - len(pair["prompt"])


def test_rejection_sampling_that_has_all_its_samples_keeps_the_same_again(kept: Path) -> None:
    before = (kept / "kept.jsonl").read_bytes()
    (kept / "kept.jsonl").unlink()
    arguments = ("--out", kept, "--limit", NUM_PROMPTS, "--num-samples", NUM_SAMPLES)
    run("rejection_sampling", *map(str, arguments), home=kept)
    assert (kept / "kept.jsonl").read_bytes() == before


def test_pass_at_k_is_the_mean_over_all_choices_of_rows() -> None:
    for num_right in range(6):
        rows = [True] * num_right + [False] * (5 - num_right)
        for k in range(1, 6):
            choices = list(combinations(rows, k))
            assert pass_at_k(5, num_right, k) == pytest.approx(
                sum(map(any, choices)) / len(choices)
            )


def test_pass_at_k_goes_up_with_k_as_far_as_there_are_rows(kept: Path, samples: Path) -> None:
    printed = [line.split() for line in run("pass_at_k", samples, PROMPTS, home=kept).splitlines()]
    assert [line[0] for line in printed] == ["pass@1", "pass@2", "pass@4"]
    chances = [float(line[1]) for line in printed]
    assert 0 < chances[0] < chances[1] <= chances[2] <= 1
    right = len({pair["id"] for pair in pairs(kept)})
    assert chances[2] == pytest.approx(right / NUM_PROMPTS, abs=1e-4)


def test_a_folder_loads_as_tables_and_as_trainers_records(kept: Path, samples: Path) -> None:
    num_rows = NUM_PROMPTS * NUM_SAMPLES
    assert f"num_rows: {num_rows}" in run("load_rows", samples, home=kept)
    assert len(with_pandas(samples)) == with_pyarrow(samples).num_rows == num_rows

    by_prompt = list(groups(samples))
    assert [len(group) for group in by_prompt] == [NUM_SAMPLES] * NUM_PROMPTS
    for group in by_prompt:
        table = for_trl(group)
        assert table.keys() == {"prompt_ids", "completion_ids", "env_mask"}
        for row, ids, mask in zip(group, table["completion_ids"], table["env_mask"], strict=True):
            assert len(ids) == len(mask)
            assert for_verl(row) == {
                "prompt_ids": table["prompt_ids"][0],
                "response_ids": ids,
                "response_mask": mask,
            }


def test_records_have_log_probabilities_where_a_trainer_looks_for_them() -> None:
    row = {"prompt_ids": [1], "completion_ids": [2, 3], "completion_mask": [1, 0]}
    row |= {"logprobs": [-0.5, 0.0]}
    assert for_trl([row, row])["logprobs"] == [[-0.5, 0.0]] * 2
    assert for_verl(row)["response_logprobs"] == [-0.5, 0.0]


@pytest.mark.parametrize("script", ["load_rows", "pass_at_k"])
def test_a_folder_without_rows_is_named(script: str, tmp_path: Path) -> None:
    command = [sys.executable, f"examples/{script}.py", str(tmp_path)]
    command += [str(PROMPTS)] if script == "pass_at_k" else []
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HOME": str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode != 0
    assert done.stderr.splitlines()[-1].endswith(f"{tmp_path} holds no rows")
