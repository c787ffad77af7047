"""`rowmill result --follow` prints a job's rows as they come."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import redis
from typer.testing import CliRunner, Result

from jobs import Client, RowDelta
from jobs.wire import dump_chunk
from tests.worker.conftest import MakeLedger
from worker.cli import app

Rowmill = Callable[..., Result]


@pytest.fixture
def rowmill(url: str, queue: str) -> Rowmill:
    def run(*words: str) -> Result:
        return CliRunner().invoke(app, [*words, "--redis", url, "--queue", queue])

    return run


def tell(connection: redis.Redis, job_id: str, start: int, *tokens: int, **fields: Any) -> None:
    delta = RowDelta(row=0, start=start, tokens=tokens, masks=(1,) * len(tokens), **fields)
    connection.xadd(f"rowmill:stream:{job_id}", {"chunk": dump_chunk([delta])})


def test_each_piece_is_a_line_and_texts_never_break_a_character(
    rowmill: Rowmill, client: Client, connection: redis.Redis, make_ledger: MakeLedger
) -> None:
    tokens = [*"né".encode(), 0xC3]
    submitted = rowmill("submit", "--prompt-tokens", "1", "--job-id", "a", "--stream")
    assert submitted.exit_code == 0
    make_ledger("w1").claim(1, is_idle=True)
    tell(connection, "a", 0, *tokens[:2])
    tell(connection, "a", 2, tokens[2])
    tell(connection, "a", 3, tokens[3], finish_reason="stop")

    result = rowmill("result", "a", "--follow", "--model", "demo")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["new_text"] for line in lines] == ["n", "é", "\ufffd"]
    assert [token for line in lines for token in line["tokens"]] == tokens
    assert lines[-1]["finish_reason"] == "stop"
    assert "new_text" not in rowmill("result", "a", "--follow").stdout


def test_following_ends_as_waiting_does(rowmill: Rowmill, client: Client) -> None:
    job_id = client.submit(prompt_tokens=[1], stream=True)
    assert rowmill("result", "--follow", job_id, "--timeout", "0").exit_code == 4
    assert rowmill("result", "--follow", job_id, "another").exit_code == 2
    assert rowmill("result", "--follow", job_id, "--explain").exit_code == 2
    client.cancel(job_id)
    result = rowmill("result", "--follow", job_id)
    assert result.exit_code == 1 and "was cancelled" in result.stderr


@pytest.mark.parametrize("option", ["--timeout=3", "--model=demo", "--delete"])
def test_an_option_that_is_about_rows_is_refused_beside_explain(
    rowmill: Rowmill, option: str
) -> None:
    result = rowmill("result", "a", "--explain", option)
    assert result.exit_code == 2
    assert f"{option.partition('=')[0]} is about rows" in result.stderr
