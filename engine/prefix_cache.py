"""Keys and values that prompts which begin alike have in common, kept across requests.

They are kept in blocks of so many tokens. A block's name is a hash of its tokens and of its
parent's name, so that it stands for the whole beginning of a prompt up to the block's end. The hash
is wide enough that nobody finds two beginnings of one name (BLAKE2b, 256 bits): a block is not
compared with the tokens that it was made from.

Blocks that no request uses stay until memory is needed; the least recently used one goes first, and
of one prompt the deepest. So a block is never without its parent, unless a device's memory was too
small to keep that.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from torch import Tensor

from engine.state import RequestState

_NAME_BYTES = 32


def block_names(tokens: Sequence[int], block_tokens: int) -> list[bytes]:
    """A name for each whole block of a prompt: those of two prompts are equal up to the first
    block in which the prompts differ, and from there on none is."""
    numbers = np.asarray(tokens, dtype="<i8")
    names, parent = [], b""
    for end in range(block_tokens, len(numbers) + 1, block_tokens):
        content = parent + numbers[end - block_tokens : end].tobytes()
        parent = blake2b(content, digest_size=_NAME_BYTES).digest()
        names.append(parent)
    return names


class Block:
    """Keys and values `[layers, 2, heads, block_tokens, head_dim]` of a block, written once."""

    __slots__ = ("kv", "name", "num_users")

    def __init__(self, kv: Tensor) -> None:
        self.kv = kv
        self.name: bytes | None = None
        """None: it is not in the cache, and belongs to one request."""
        self.num_users = 0
        """Requests that use it, while it is in the cache."""


class PrefixCache:
    """The blocks by name. It asks for no memory: who adds a block has made room for it."""

    def __init__(self, block_tokens: int, *, is_on: bool) -> None:
        self.block_tokens = block_tokens
        self._is_on = is_on
        self._blocks: dict[bytes, Block] = {}
        self._idle: OrderedDict[bytes, Block] = OrderedDict()
        """Those that no request uses, the least recently used first."""

    def __contains__(self, name: bytes) -> bool:
        return name in self._blocks

    @property
    def num_tokens(self) -> int:
        return len(self._blocks) * self.block_tokens

    @property
    def num_idle_tokens(self) -> int:
        """Of the blocks that no request uses."""
        return len(self._idle) * self.block_tokens

    def names(self, request: RequestState) -> list[bytes]:
        """Of the prompt's whole blocks; none where the cache is switched off."""
        if request.block_names is None:
            tokens = request.request.prompt_tokens if self._is_on else ()
            request.block_names = block_names(tokens, self.block_tokens)
        return request.block_names

    def num_readable(self, request: RequestState) -> int:
        """How many blocks the request may take from the cache: never the one with its last token,
        whose logits have to be computed."""
        if not (self._is_on and request.reads_cache):
            return 0
        return (request.num_prompt_tokens - 1) // self.block_tokens

    def acquire(self, names: Sequence[bytes]) -> list[Block]:
        """The blocks of these names up to the first one that is not there; they are used now."""
        blocks = []
        for name in names:
            block = self._blocks.get(name)
            if block is None:
                break
            if not block.num_users:
                del self._idle[name]
            block.num_users += 1
            blocks.append(block)
        return blocks

    def add(self, name: bytes, block: Block) -> None:
        """Keep a block, which is used by the one who adds it."""
        assert name not in self._blocks, "a block that is computed twice"
        block.name, block.num_users = name, 1
        self._blocks[name] = block

    def release(self, blocks: Sequence[Block]) -> None:
        """They are not used any more. In the order of their prompt: its deepest ones go first."""
        for block in reversed(blocks):
            assert block.name is not None
            block.num_users -= 1
            if not block.num_users:
                self._idle[block.name] = block

    def evict(self, num_tokens: int) -> None:
        """Let go of so many tokens, rounded up to whole blocks, or of all that nobody uses."""
        num_blocks = -(-num_tokens // self.block_tokens)
        for _ in range(min(num_blocks, len(self._idle))):
            name, _ = self._idle.popitem(last=False)
            del self._blocks[name]
