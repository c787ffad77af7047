"""How far transformers is with reading weights, told to whoever wants to know."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

Progress = Callable[[float], None]
"""Is told how much of a model is read, from 0 to 1."""


@contextmanager
def told_progress(progress: Progress | None) -> Iterator[None]:
    """While it lasts transformers shows no bars, and `progress` is told instead.

    Nor does it warn: what is wrong with weights or settings is an error of ours.
    """
    from transformers.utils import logging

    previous = logging.set_tqdm_hook(lambda factory, args, options: _Bar(progress, *args))
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        logging.set_tqdm_hook(previous)


class _Bar:
    """In the place of tqdm's."""

    def __init__(self, progress: Progress | None, items: Iterable[Any] = (), *_: Any) -> None:
        self._progress = progress
        self._items = items

    def __iter__(self) -> Iterator[Any]:
        items = list(self._items)
        for number, item in enumerate(items, start=1):
            yield item
            if self._progress is not None:
                self._progress(number / len(items))

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: None
