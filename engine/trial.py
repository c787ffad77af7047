"""A trial: does what a row gets depend on the rows that share the call?"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

_PLACES_UP_TO = 4
_INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Runs the same rows all together and then in parts, and compares the bits.

    `run` takes rows of each of `inputs` and returns as many rows of results.
    """

    name: str
    """What was tried, as a failure names it."""
    run: Callable[..., Tensor]
    inputs: tuple[Tensor, ...]
    """Tensors with as many rows each."""
    sizes: tuple[int, ...]
    """The numbers of rows to try, each at most as many as there are."""
    is_tiled: bool
    """Whether the engine pads these rows to the policy's tile."""

    def differing_sizes(self) -> frozenset[int]:
        """The sizes at which some row's bits were not those that it had among all.

        The parts are in reverse order, so a row also has another place and other neighbours.
        """
        expected = _bits(self.run(*self.inputs)).flip(0)
        flipped = [rows.flip(0) for rows in self.inputs]
        return frozenset(
            size
            for size in self.sizes
            if not all(
                torch.equal(_bits(self.run(*(rows[here] for rows in flipped))), expected[here])
                for here in _windows(size, len(expected))
            )
        )


def _windows(size: int, num_rows: int) -> Iterator[slice]:
    """Where a part is taken from; so few rows that they show little: from several places."""
    starts = {0}
    if size <= _PLACES_UP_TO:
        starts |= {(num_rows - size) // 2, num_rows - size}
    return (slice(start, start + size) for start in sorted(starts))


def _bits(results: Tensor) -> Tensor:
    if not results.is_floating_point():
        return results
    return results.contiguous().view(_INTEGERS[results.element_size()])
