"""What is installed is whole: an editable install hides a file that a wheel leaves out."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LEFT_BEHIND = {".py", ".pyc", ".so"}
"""Code comes with its package, and kernels are built where they run."""


@pytest.mark.parametrize("package", ["bench", "engine", "gateway", "jobs", "vocab", "worker"])
def test_every_file_that_is_no_code_is_installed_too(package: str) -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    patterns: dict[str, list[str]] = settings["tool"]["setuptools"]["package-data"]
    installed = {
        file
        for name, globs in patterns.items()
        for pattern in globs
        for file in (ROOT / name.replace(".", "/")).glob(pattern)
    }
    files = {file for file in (ROOT / package).rglob("*") if file.is_file()}
    assert {file for file in files if file.suffix not in LEFT_BEHIND} <= installed
