"""Seeds of inputs: whoever implements this derives the same ones."""

from __future__ import annotations

import hashlib


def derive_seed(run_seed: int, index: int, input_id: str | None) -> int:
    """The seed of an input that has none of its own, from 0 to 2^64 - 1.

    It is the first 8 bytes, as a little-endian integer, of the SHA-256 of these bytes in a row:

    1. the 15 ASCII bytes `rowmill.seed.v1`,
    2. the run's seed, 8 bytes, little-endian,
    3. for an input with an ID: the byte `i` and the ID in UTF-8; for one without: the byte `n` and
       its index over all files from 0, 8 bytes, little-endian.

    So inputs are independent of each other, and one with an ID keeps its seed wherever it stands.
    """
    if input_id is not None:
        source = b"i" + input_id.encode("utf-8")
    else:
        source = b"n" + index.to_bytes(8, "little")
    digest = hashlib.sha256(b"rowmill.seed.v1" + run_seed.to_bytes(8, "little") + source).digest()
    return int.from_bytes(digest[:8], "little")
