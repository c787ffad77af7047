"""What Rowmill asks of a tokenizer: the part of nanochat's interface that sampling needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Tokenizer(Protocol):
    def get_bos_token_id(self) -> int: ...

    def encode_special(self, name: str, /) -> int:
        """The id of a special token such as `<|assistant_end|>`."""

    def encode(self, text: str, /) -> list[int]: ...

    def decode(self, tokens: Sequence[int], /) -> str: ...
