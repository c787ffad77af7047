"""What keeps a row's bits independent of its neighbours; see docs/reproducibility.md.

Where the native kernels serve, nothing has to be done: each output is one chain of sums, whatever
the number of rows, and the policy is "none".

In torch's way a matrix product may take another path through the library for another number of
rows, and then rounds differently. Two measures make a policy; on some machines one is not enough,
on others not the other, and `probe.py` finds out:

- MKL's strict conditional numerical reproducibility, which `environment.py` asks for;
- shapes that stay on one path: the rows of every product are padded to a multiple of a tile.

Beside it, whatever the policy, torch's attention gets queries that share a call padded to a
multiple of QUERY_TILE, and the keys of a masked call to KEY_TILE.
"""

from __future__ import annotations

import dataclasses

ROW_TILES = (1, 4, 8, 16, 32, 64)
"""Of torch's products; native ones need 1, which is no padding. Cheapest first. Each is a multiple
of those before it, so that all policies that hold on a machine give the same bits: what is equal
for every multiple of 4 is so for every multiple of 16."""

UNPROBED_ROW_TILE = 16
"""Where a model's products or attention can't be probed: held wherever MKL was strict."""

QUERY_TILE = 4
"""Queries of a call of torch's attention; the native kernel takes any number."""
KEY_TILE = 64
"""Keys of such a call. Caches have room for whole tiles of them, whichever way attends."""

PREFILL_CHUNK = 512
"""Prompts are prefilled in chunks that start at multiples of this, whatever else a step does."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What is done for equal bits of matrix products."""

    row_tile: int
    """The rows of every product are padded to a multiple of it; 1 is no padding."""
    is_mkl_strict: bool
    """Whether MKL does the products, in its strict mode; never where native kernels do them."""
    mkl_branch: str = "AUTO"
    """The instructions that MKL was told to use, where it does the products; another branch gives
    other bits."""

    @property
    def name(self) -> str:
        """For example "none", "mkl-strict", "tile-16", "mkl-avx2-strict+tile-16"."""
        mkl = [] if self.mkl_branch == "AUTO" else [self.mkl_branch.lower()]
        mkl += ["strict"] if self.is_mkl_strict else []
        parts = ["-".join(["mkl", *mkl])] if mkl else []
        parts += [f"tile-{self.row_tile}"] if self.row_tile > 1 else []
        return "+".join(parts) or "none"


def round_up(number: int, multiple: int) -> int:
    """The smallest multiple of `multiple` that is at least `number`."""
    return -(-number // multiple) * multiple


def power_of_two(number: int, least: int) -> int:
    """The smallest `least * 2**n` that is at least `number`."""
    size = least
    while size < number:
        size *= 2
    return size
