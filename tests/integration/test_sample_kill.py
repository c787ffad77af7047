"""A sampler killed before any of its system calls leaves a folder from which it goes on.

What the disk and the server hold can only differ between two such calls. In the suite every
`--kill-stride`-th call is tried; 1 tries them all.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.dataset.manifest import job_prefix
from tests.integration.killed.out_folder import check_finished, failures, parts
from tests.integration.killed.quick_worker import QuickWorker
from tests.integration.killed.sampler import Samplers

QUEUE = "q-kill"
OPTIONS = {"inputs_per_part": 3, "num_samples": 2}
MORE = {"inputs_per_part": 3, "num_samples": 4}
OTHER = {"inputs_per_part": 3, "num_samples": 2, "seed": 1}
BAD_LINE = 4
REFUSED = frozenset({1, 2, 6})


@pytest.fixture(scope="module")
def worker(url: str) -> Iterator[QuickWorker]:
    with QuickWorker(url, QUEUE) as worker:
        yield worker


@pytest.fixture(scope="module")
def samplers(url: str) -> Iterator[Samplers]:
    with Samplers(url, QUEUE) as samplers:
        yield samplers


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each prompt's first token is its index."""
    lines = [{"prompt_tokens": [-1 if n == BAD_LINE else n]} for n in range(8)]
    path = tmp_path_factory.mktemp("inputs") / "prompts.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


class Sweep:
    """Runs that are left alone, and others that are killed at one call after the other."""

    def __init__(
        self, worker: QuickWorker, samplers: Samplers, inputs: Path, folder: Path, stride: int
    ) -> None:
        self.worker = worker
        self._samplers = samplers
        self._inputs = inputs
        self._folder = folder
        self._stride = stride

    def quiet(
        self, name: str | Path, *, refused: frozenset[int] = REFUSED, **options: object
    ) -> Path:
        out = self._folder / name
        self.worker.refused = refused
        assert self._samplers.run(self._inputs, out, **options)
        check_finished(out, options["num_samples"])
        return out

    def torn(self, before: Path | None, **options: object) -> Iterator[Path]:
        """Folders in which a run was killed, each at another call; `before`: what was there."""
        number, is_killed = 0, True
        while is_killed:
            out = self._folder / f"torn-{number}"
            if before is not None:
                shutil.copytree(before, out)
            self.worker.sampled.clear()
            is_killed = not self._samplers.run(self._inputs, out, dies_at=number, **options)
            yield out
            number += self._stride

    def killed(self, out: Path, dies_at: int, **options: object) -> None:
        """A run that comes so far, or not even there, where the folder refuses it."""
        with contextlib.suppress(PermissionError):
            self._samplers.run(self._inputs, out, dies_at=dies_at, **options)

    def end(self, out: Path, **options: object) -> None:
        """The next run, which is left alone."""
        assert self._samplers.run(self._inputs, out, **options)
        check_finished(out, options["num_samples"])


@pytest.fixture
def sweep(
    worker: QuickWorker,
    samplers: Samplers,
    inputs: Path,
    tmp_path: Path,
    pytestconfig: pytest.Config,
) -> Sweep:
    return Sweep(worker, samplers, inputs, tmp_path, pytestconfig.getoption("--kill-stride"))


def same(out: Path, quiet: Path) -> None:
    assert parts(out) == parts(quiet)
    assert failures(out) == failures(quiet)


def test_a_run_goes_on_and_samples_nothing_twice(sweep: Sweep, connection: redis.Redis) -> None:
    quiet = sweep.quiet("quiet", **OPTIONS)
    for out in sweep.torn(None, **OPTIONS):
        assert parts(out).items() <= parts(quiet).items()
        sweep.end(out, **OPTIONS)
        same(out, quiet)
        assert set(sweep.worker.sampled.values()) == {1}
        run_id = json.loads((out / "manifest.json").read_text())["run_id"]
        assert connection.keys(f"*{job_prefix(run_id, QUEUE)}*") == [], "the server keeps something"


def test_an_extension_goes_on(sweep: Sweep) -> None:
    few, more = sweep.quiet("few", **OPTIONS), sweep.quiet("more", **MORE)
    for out in sweep.torn(few, extend=True, **MORE):
        there = parts(out).items()
        assert there <= parts(few).items() | parts(more).items()
        assert len(there) == 3
        sweep.end(out, extend=True, **MORE)
        same(out, more)
        assert set(sweep.worker.sampled.values()) == {1}


def test_an_unfinished_run_is_extended(sweep: Sweep) -> None:
    more = sweep.quiet("more", **MORE)
    for out in sweep.torn(None, **OPTIONS):
        sweep.end(out, extend=True, **MORE)
        same(out, more)


def test_a_retry_goes_on(sweep: Sweep) -> None:
    some = sweep.quiet("some", **OPTIONS)
    all_ = sweep.quiet("all", refused=frozenset(), **OPTIONS)
    for out in sweep.torn(some, retry_failures=True, **OPTIONS):
        sweep.end(out, retry_failures=True, **OPTIONS)
        same(out, all_)


def test_a_retry_that_is_not_gone_on_with_leaves_a_sound_folder(sweep: Sweep) -> None:
    some = sweep.quiet("some", **OPTIONS)
    all_ = sweep.quiet("all", refused=frozenset(), **OPTIONS)
    for out in sweep.torn(some, retry_failures=True, **OPTIONS):
        sweep.end(out, **OPTIONS)  # which checks it
        sweep.end(out, retry_failures=True, **OPTIONS)
        same(out, all_)


def test_a_run_that_overwrites_goes_on(sweep: Sweep) -> None:
    old, new = sweep.quiet("old", **OPTIONS), sweep.quiet("new", **OTHER)
    for out in sweep.torn(old, overwrite=True, **OTHER):
        sweep.end(out, overwrite=True, **OTHER)
        same(out, new)


COMMANDS: list[dict[str, object]] = [
    OPTIONS,
    {**OPTIONS, "retry_failures": True},
    {**OPTIONS, "overwrite": True},
    {**OTHER, "overwrite": True},
    {**MORE, "extend": True},
    {**MORE, "extend": True, "retry_failures": True},
]
killed_runs = st.tuples(
    st.sampled_from(COMMANDS), st.integers(0, 160), st.sampled_from((frozenset(), REFUSED))
)


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(killed_runs, min_size=2, max_size=6))
def test_a_run_makes_good_whatever_ones_before_it_were_killed(
    sweep: Sweep, runs: list[tuple[dict[str, object], int, frozenset[int]]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        out, whole = Path(folder) / "out", Path(folder) / "whole"
        for options, dies_at, refused in runs:
            sweep.worker.refused = refused
            sweep.killed(out, dies_at, **options)
        manifest = out / "manifest.json"
        seed = json.loads(manifest.read_text())["config"]["seed"] if manifest.exists() else 0
        quiet = sweep.quiet(whole, refused=frozenset(), **MORE, seed=seed)
        sweep.end(out, **MORE, seed=seed, extend=True, retry_failures=True)
        same(out, quiet)
