"""Checkpoints that the tests of Hugging Face models share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("transformers")

from tests.engine.hf.families import FAMILIES, REFUSED, write_checkpoint

Checkpoint = Callable[[str], Path]


@pytest.fixture(scope="session", autouse=True)
def _silence() -> Iterator[None]:
    """transformers' remarks on tiny models, and its bars, say nothing of Rowmill."""
    from transformers.utils import logging

    level = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    yield
    logging.enable_progress_bar()
    logging.set_verbosity(level)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """The folder of a family's checkpoint, made at the first call. Not to be changed."""
    folders: dict[str, Path] = {}

    def folder_of(family: str) -> Path:
        if family not in folders:
            fields = FAMILIES[family] if family in FAMILIES else REFUSED[family][0]
            folder = tmp_path_factory.mktemp(family)
            folders[family] = write_checkpoint(family, fields, folder)
        return folders[family]

    return folder_of
