"""A turn at a batch, stopped wherever it can be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.batches.batch import Batch
from gateway.batches.batch_store import BatchFolder, BatchStore
from gateway.batches.endpoint import endpoints
from gateway.batches.file_store import FileStore
from gateway.batches.identifiers import BATCH, new_id
from gateway.batches.limits import BatchLimits
from gateway.batches.turn import Stopped, Turn, TurnConfig
from gateway.openai.asked import Served
from tests.gateway.batches.conftest import MODEL, QUEUE, Lines, content_of, line
from vocab import load_tokenizer

LINES = [line(0, n=2), line(1, model="other"), line(2, prompt=["a", "b"]), line(3), line(4)]


@pytest.fixture
def config(url: str) -> TurnConfig:
    return TurnConfig(
        redis_url=url,
        limits=BatchLimits(in_flight=2),
        max_line_bytes=10_000,
        endpoints=endpoints(Served(MODEL, load_tokenizer(MODEL))),
        served=MODEL,
    )


def new_batch(root: Path, lines: Lines, **changes: Any) -> BatchFolder:
    content = root / "content"
    content.write_bytes(content_of(lines))
    batch = Batch(
        id=new_id(BATCH),
        endpoint="/v1/completions",
        input_file_id="file-of-this",
        created_at=0,
        expires_at=0,
        tenant=None,
        queue=QUEUE,
        deadline=changes.pop("deadline", 1e12),
        **changes,
    )
    store = BatchStore(root)
    store.add(batch, content)
    return store.folder(None, batch.id)


def after(num_calls: int) -> Callable[[], None]:
    """Stops the turn at the call after so many."""
    left = num_calls

    def check() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Stopped

    return check


def worked_at(config: TurnConfig, files: FileStore, folder: BatchFolder, patience: int) -> Batch:
    """By a turn that is stopped after so many looks."""
    turn = Turn(config, files, folder, after(patience))
    try:
        if turn.batch.status == "validating":
            turn.validate()
        if turn.batch.status == "in_progress":
            turn.sample()
        if not turn.batch.has_ended:
            turn.finish()
    except Stopped:
        pass
    return folder.read()


def test_a_batch_that_is_stopped_at_every_step_ends_as_one_that_is_not(
    config: TurnConfig, tmp_path: Path
) -> None:
    files = FileStore(tmp_path)
    folder = new_batch(tmp_path, LINES)
    num_turns = 0
    while not folder.read().has_ended:
        worked_at(config, files, folder, num_turns)
        num_turns += 1
    assert num_turns > len(LINES)
    undisturbed = worked_at(config, files, new_batch(tmp_path, LINES), 10**6)
    stopped = folder.read()
    assert stopped.request_counts == undisturbed.request_counts
    for name in ("output_file_id", "error_file_id"):
        first, other = getattr(stopped, name), getattr(undisturbed, name)
        assert first and other
        assert custom_ids(files, first) == custom_ids(files, other)
    assert len(list(files.listed(None))) == 4
    assert list(tmp_path.rglob("*.tmp")) == []


def custom_ids(files: FileStore, file_id: str) -> list[str]:
    text = files.content(None, file_id).read_text()
    return [one.split('"custom_id":"')[1].split('"')[0] for one in text.splitlines()]


def test_a_file_that_was_written_before_a_kill_is_replaced(
    config: TurnConfig, tmp_path: Path
) -> None:
    files = FileStore(tmp_path)
    folder = new_batch(tmp_path, LINES)
    turn = Turn(config, files, folder, lambda: None)
    turn.validate()
    turn.sample()
    saved = {path: path.read_bytes() for path in folder.path.iterdir()}
    turn.finish()
    written = {file.id: files.content(None, file.id).read_bytes() for file in files.listed(None)}
    for path, content in saved.items():  # as if it had been killed before its last write
        path.write_bytes(content)
    Turn(config, files, folder, lambda: None).finish()
    again = {file.id: files.content(None, file.id).read_bytes() for file in files.listed(None)}
    assert again == written and len(written) == 2


def test_another_model_does_not_go_on_with_a_batch(config: TurnConfig, tmp_path: Path) -> None:
    folder = new_batch(tmp_path, LINES, status="in_progress", served="another")
    batch = worked_at(config, FileStore(tmp_path), folder, 100)
    assert batch.status == "failed"
    assert [error.code for error in batch.errors] == ["model_changed"]


def test_a_batch_that_waited_too_long_is_run_no_more(config: TurnConfig, tmp_path: Path) -> None:
    batch = worked_at(config, FileStore(tmp_path), new_batch(tmp_path, LINES, deadline=0.0), 10**6)
    assert batch.status == "expired" and batch.output_file_id is None
    counts = batch.request_counts
    # A bad body is known to be one without being run.
    assert (counts.total, counts.completed, counts.failed) == (5, 0, 1)
