"""The command line: what goes in becomes jobs, what comes out is JSON, and the exit code tells."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import redis
from rq.job import Job
from typer.testing import CliRunner, Result

from engine.models import demo_prompt
from jobs import Client, GenerateJob, MsgpackSerializer, SampledRows
from jobs.sampling_fields import SamplingFields
from tests.worker.conftest import MakeLedger, finished, queued_ids
from vocab import ByteTokenizer
from worker.cli import app
from worker.cli.row_options import RowOptions
from worker.ledger import Outcome

Rowmill = Callable[..., Result]
UNREACHABLE = "redis://someone:secret@127.0.0.1:1/0"
QUESTION = tuple(demo_prompt("What is 2 + 3?", ByteTokenizer()))


@pytest.fixture
def rowmill(url: str, queue: str, connection: redis.Redis) -> Rowmill:
    """Runs a command on the test's queue."""

    def run(command: str, *arguments: str, stdin: str = "", server: str = url) -> Result:
        words = [command, "--redis", server, "--queue", queue, *arguments]
        return CliRunner().invoke(app, words, input=stdin)

    return run


@pytest.fixture
def pushed(connection: redis.Redis, queue: str) -> Callable[[], dict[str, GenerateJob]]:
    """The jobs in the queue, as a worker reads them."""

    def jobs() -> dict[str, GenerateJob]:
        ids = queued_ids(connection, queue)
        found = Job.fetch_many(ids, connection=connection, serializer=MsgpackSerializer)
        return {job.id: GenerateJob.parse(job.kwargs) for job in found if job is not None}

    return jobs


Pushed = Callable[[], dict[str, GenerateJob]]


def _lines(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.parametrize("tokens", ["1,2,3", "1 2 3", " 1, 2,3 "])
def test_tokens_and_options_become_the_job(rowmill: Rowmill, pushed: Pushed, tokens: str) -> None:
    options = ["--num-samples", "4", "--top-k", "5", "--temperature", "0.5", "--seed", "7"]
    options += ["--first-row", "8", "--logprobs"]
    result = rowmill("submit", "--prompt-tokens", tokens, "--job-id", "mine", *options)

    assert (result.exit_code, result.stdout) == (0, "mine\n")
    fields = {"num_samples": 4, "first_row": 8, "top_k": 5, "temperature": 0.5, "seed": 7}
    fields["logprobs"] = True
    assert pushed() == {"mine": GenerateJob.parse({"prompt_tokens": (1, 2, 3), **fields})}


CONTROLS: dict[str, tuple[list[str], Any]] = {
    "max_tokens": (["--max-tokens", "9"], 9),
    "min_tokens": (["--min-tokens", "2"], 2),
    "temperature": (["--temperature", "0"], 0.0),
    "top_k": (["--top-k", "5"], 5),
    "top_p": (["--top-p", "0.5"], 0.5),
    "min_p": (["--min-p", "0"], 0.0),
    "repetition_penalty": (["--repetition-penalty", "1.5"], 1.5),
    "presence_penalty": (["--presence-penalty", "-0.5"], -0.5),
    "frequency_penalty": (["--frequency-penalty", "0.5"], 0.5),
    "logit_bias": (["--logit-bias", "7=-100", "--logit-bias", "2=1.5"], {2: 1.5, 7: -100}),
    "bad_words": (["--bad-words", "a, b", "--bad-words", "c"], ["a, b", "c"]),
    "stop": (["--stop", "\n", "--stop", "END"], ["\n", "END"]),
    "stop_token_ids": (["--stop-token-ids", "3, 4"], [3, 4]),
    "ignore_eos": (["--ignore-eos"], True),
    "json_schema": (["--json-schema", '{"type": "object"}'], {"type": "object"}),
    "regex": (["--regex", "[0-9]+"], "[0-9]+"),
    "grammar": (["--grammar", 'start: "a"'], 'start: "a"'),
    "logprobs": (["--logprobs"], True),
    "top_logprobs": (["--top-logprobs", "3"], 3),
    "logprobs_mode": (["--logprobs-mode", "processed"], "processed"),
    "return_prompt_logprobs": (["--prompt-logprobs"], True),
}


def test_a_job_s_priority_stands_where_workers_read_it(
    rowmill: Rowmill, connection: redis.Redis
) -> None:
    for priority in ("1", "4"):
        rowmill("submit", "--prompt-tokens", "1", "--job-id", priority, "--priority", priority)
    assert connection.hget("rq:job:1", "priority") is None
    assert connection.hget("rq:job:4", "priority") == b"4"


def test_every_control_has_an_option(rowmill: Rowmill, pushed: Pushed) -> None:
    assert sorted(CONTROLS) == sorted(SamplingFields.model_fields)
    assert sorted(CONTROLS) == sorted(its.name for its in dataclasses.fields(RowOptions))
    wanted = {}
    for name, (words, value) in CONTROLS.items():
        beside = ["--logprobs"] if name in ("top_logprobs", "logprobs_mode") else []
        result = rowmill("submit", "--prompt-tokens", "1", "--job-id", name, *words, *beside)
        assert result.exit_code == 0, result.stderr
        fields = {"logprobs": True} if beside else {}
        wanted[name] = GenerateJob.parse({"prompt_tokens": [1], **fields, name: value})
    assert pushed() == wanted


def test_a_schema_and_a_grammar_may_be_files(
    rowmill: Rowmill, pushed: Pushed, tmp_path: Path
) -> None:
    schema, grammar = json.dumps({"enum": ["é" * 300]}), f'start: "{"é" * 300}"'
    for option, text in (("--json-schema", schema), ("--grammar", grammar)):
        (tmp_path / "file").write_text(text, encoding="utf-8")
        for value in (str(tmp_path / "file"), text):  # too long for a file's name
            assert rowmill("submit", "--prompt-tokens", "1", option, value).exit_code == 0
    structures = [(job.json_schema, job.grammar) for job in pushed().values()]
    assert structures == [(schema, None)] * 2 + [(None, grammar)] * 2

    (tmp_path / "file").write_bytes(b"\xff")
    result = rowmill("submit", "--prompt-tokens", "1", "--grammar", str(tmp_path / "file"))
    assert result.exit_code == 2
    assert "UTF-8" in result.stderr


@pytest.mark.parametrize("value", ["no/such.file", "{", "[1]", "", "[" * 100_000])
@pytest.mark.parametrize("option", ["--json-schema", "--grammar"])
def test_a_structure_that_is_neither_text_nor_a_file_is_not_pushed(
    rowmill: Rowmill, pushed: Pushed, option: str, value: str
) -> None:
    result = rowmill("submit", "--prompt-tokens", "1", option, value)

    assert result.exit_code == 2
    assert "or the name of a file that holds one" in " ".join(result.stderr.split())
    assert pushed() == {}


def test_text_becomes_a_question_of_the_chat_or_raw_what_it_is(
    rowmill: Rowmill, pushed: Pushed
) -> None:
    text = ["--text", "What is 2 + 3?", "--model", "demo"]
    ids = [rowmill("submit", *text, *more).stdout.strip() for more in ((), ("--raw",))]

    tokenizer = ByteTokenizer()
    raw = (tokenizer.get_bos_token_id(), *tokenizer.encode("What is 2 + 3?"))
    assert [pushed()[job_id].prompt_tokens for job_id in ids] == [QUESTION, raw]


def test_options_stand_for_what_a_line_leaves_out(rowmill: Rowmill, pushed: Pushed) -> None:
    lines = [
        {"prompt_tokens": [1, 2], "job_id": "b", "seed": 9, "top_k": None, "logit_bias": {"5": 1}},
        {"text": "What is 2 + 3?", "job_id": "a"},
    ]
    stdin = "\n\n".join(json.dumps(line) for line in lines)
    result = rowmill("submit", "--model", "demo", "--seed", "5", "--top-k", "3", stdin=stdin)

    assert (result.exit_code, result.stdout) == (0, "b\na\n"), result.stderr
    assert pushed() == {
        "b": GenerateJob(prompt_tokens=(1, 2), seed=9, logit_bias={5: 1}),
        "a": GenerateJob(prompt_tokens=QUESTION, seed=5, top_k=3),
    }


@pytest.mark.parametrize(
    "bad",
    [
        "{",
        "[1]",
        '{"prompt_tokens": []}',
        '{"prompt_tokens": [1], "colour": 2}',
        '{"prompt_tokens": [1.0]}',
        '{"prompt_tokens": [1], "seed": NaN}',
        '{"text": "no tokenizer"}',
        '{"text": "both", "prompt_tokens": [1]}',
        '{"prompt_tokens": [1], "job_id": "not an id"}',
        '{"prompt_tokens": [1], "job_id": 5}',
        '{"prompt_tokens": [1], "job_id": 0}',
        '{"prompt_tokens": [1], "job_id": ["a"]}',
    ],
)
def test_a_bad_line_is_named_and_nothing_is_pushed(
    rowmill: Rowmill, pushed: Pushed, bad: str
) -> None:
    result = rowmill("submit", stdin=f'{{"prompt_tokens": [1]}}\n\n{bad}\n')

    assert (result.exit_code, result.stdout) == (2, "")
    assert "in line 3 of standard input; no job was pushed" in result.stderr
    assert pushed() == {}


def test_who_misspells_a_field_of_a_line_is_told_all_that_there_are(rowmill: Rowmill) -> None:
    result = rowmill("submit", stdin='{"txet": "What is 2 + 3?"}')
    assert result.stderr.startswith("rowmill: txet: this field is not allowed; it must be one of ")
    for name in ("prompt_tokens", "seed", "text", "job_id"):
        assert f"{name}, " in result.stderr or f"{name}\n" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["submit", "--prompt-tokens", "1,x"],
        ["submit", "--prompt-tokens", ""],
        ["submit", "--prompt-tokens", "1", "--temperature", "-1"],
        ["submit", "--prompt-tokens", "1", "--logit-bias", "7"],
        ["submit", "--prompt-tokens", "1", "--logit-bias", "a=1"],
        ["submit", "--prompt-tokens", "1", "--logit-bias", "7=1", "--logit-bias", "7=2"],
        ["submit", "--prompt-tokens", "1", "--stop-token-ids", "a"],
        ["submit", "--prompt-tokens", "1", "--stop", ""],
        ["submit", "--prompt-tokens", "1", "--priority", "101"],
        ["submit", "--prompt-tokens", "1", "--top-logprobs", "2"],
        ["submit", "--prompt-tokens", "1", "--regex", "a", "--grammar", "b"],
        ["submit", "--prompt-tokens", "1", "--job-id", "not an id"],
        ["submit", "--prompt-tokens", "1", "--text", "both"],
        ["submit", "--text", "no model"],
        ["submit", "--text", "\udcff", "--model", "demo"],
        ["submit", "--text", "a", "--model", "/no/such/folder"],
        ["submit", "--job-id", "of-no-job"],
        ["submit", "--no-such-option"],
        ["submit", "--prompt-tokens", "1", "--redis", "http://127.0.0.1"],
        ["result"],
        ["result", "not an id"],
        ["result", "a", "--model", "/no/such/folder"],
    ],
)
def test_bad_input_is_2(rowmill: Rowmill, pushed: Pushed, arguments: Sequence[str]) -> None:
    result = rowmill(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr and "Traceback" not in result.stderr
    assert pushed() == {}


def test_an_id_that_is_taken_is_2(rowmill: Rowmill, pushed: Pushed) -> None:
    codes = [rowmill("submit", "--prompt-tokens", n, "--job-id", "a").exit_code for n in ("1", "2")]
    assert codes == [0, 2]
    assert pushed() == {"a": GenerateJob(prompt_tokens=(1,))}


def test_no_server_is_3_and_the_password_is_not_shown(rowmill: Rowmill) -> None:
    for command in (["submit", "--prompt-tokens", "1"], ["result", "a"]):
        result = rowmill(*command, server=UNREACHABLE)
        assert result.exit_code == 3
        assert "127.0.0.1:1" in result.stderr
        assert "secret" not in result.output


def test_who_comes_before_a_worker_is_told_what_starts_its_server(tmp_path: Path) -> None:
    arguments = ["result", "a", "--data", str(tmp_path)]
    result = CliRunner(env={"ROWMILL_REDIS": ""}).invoke(app, arguments)
    assert result.exit_code == 3 and "`rowmill worker` starts it" in result.stderr


def test_rows_are_lines_in_the_order_given_with_their_text(
    rowmill: Rowmill, client: Client, make_ledger: MakeLedger
) -> None:
    for job_id in ("c", "a", "b"):
        client.submit(prompt_tokens=[1], job_id=job_id)
    ledger = make_ledger("w1")
    ledger.finish(
        [finished(claim, *claim.job_id.encode()) for claim in ledger.claim(3, is_idle=True)]
    )

    row = {"tokens": [98], "masks": [1], "finish_reason": "stop"}
    unknown = {"reproducible": False, "provenance": None}
    assert _lines(rowmill("result", "b")) == [{"job_id": "b", "rows": [row], **unknown}]

    result = rowmill("result", "--model", "demo", stdin="b\n\n  c \na\nb\n")
    assert result.exit_code == 0
    assert [line["job_id"] for line in _lines(result)] == ["b", "c", "a"]
    assert [line["rows"][0]["text"] for line in _lines(result)] == ["b", "c", "a"]


def test_rows_come_with_all_that_was_asked_for_and_with_what_is_needed_to_repeat_them(
    rowmill: Rowmill, client: Client, make_ledger: MakeLedger
) -> None:
    client.submit(prompt_tokens=[1], job_id="a")
    ledger = make_ledger("w1")
    provenance = {
        "reproducible": True,
        "model": "0f" * 32,
        "dtype": "float32",
        "device": "a processor",
        "kernels": "native",
        "policy": "mkl-strict",
        "sampler": 1,
        "versions": {"torch": "2.13.0"},
    }
    row = {"tokens": [7, 8], "masks": [1, 0], "finish_reason": "stop", "logprobs": [-0.5, -1.25]}
    row |= {"top_tokens": [7, 9], "top_logprobs": [-0.5, -1.5], "text": "so far"}
    told = {"rows": [row], "prompt_logprobs": [-0.75], "provenance": provenance}
    rows = SampledRows.model_validate(told)
    (claim,) = ledger.claim(1, is_idle=True)
    value = MsgpackSerializer.dumps(rows)
    ledger.finish([Outcome(claim=claim, status="finished", value=value)])

    for more in ([], ["--model", "demo"]):  # the text is the row's own where it has one
        (line,) = _lines(rowmill("result", "a", *more))
        assert line == {"job_id": "a", "reproducible": True, **told}


def test_the_exit_code_tells_of_the_first_job_without_rows(
    rowmill: Rowmill, client: Client, make_ledger: MakeLedger
) -> None:
    for job_id in ("good", "bad", "cancelled", "waiting"):
        client.submit(prompt_tokens=[1], job_id=job_id)
    ledger = make_ledger("w1")
    good, bad = ledger.claim(2, is_idle=True)
    ledger.finish([finished(good, 1), Outcome(claim=bad, status="failed", value="too bad")])
    client.cancel("cancelled")

    result = rowmill("result", "good", "waiting", "bad", "unknown", "--timeout", "0")
    assert result.exit_code == 4
    assert [line.get("error", "").split(":")[0] for line in _lines(result)] == [
        "",
        "ResultTimeoutError",
        "JobFailedError",
        "JobNotFoundError",
    ]
    assert "too bad" in _lines(result)[2]["error"]
    codes = {name: rowmill("result", name).exit_code for name in ("good", "bad", "cancelled", "no")}
    assert codes == {"good": 0, "bad": 1, "cancelled": 1, "no": 1}
