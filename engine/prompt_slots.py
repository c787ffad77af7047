"""Where prompts live in torch's way: each in a slot of its own, see prefix_pool.py.

The bits of torch's attention depend on the chunk in which a token is computed, so the cache's
blocks are whole chunks. They are copies: what a prompt finds in the cache is copied to its slot.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from engine.invariance import PREFILL_CHUNK
from engine.models.packed import ModelShape
from engine.prefix_cache import Block, PrefixCache
from engine.prefix_pool import BucketKey, Prefix, PrefixPool
from engine.prompts import MakeRoom
from engine.runner import Chunk
from engine.state import RequestState


class PromptSlots:
    """See `engine.prompts.Prompts` for the contract."""

    def __init__(
        self,
        shape: ModelShape,
        like: Tensor,
        cache: PrefixCache,
        make_room: MakeRoom,
        max_rows: int,
    ) -> None:
        """`like`: what the slots are made like."""
        self._pool = PrefixPool(shape)
        self._like = like
        self._cache = cache
        self._make_room = make_room
        self._max_rows = max_rows

    @property
    def kv_tokens(self) -> int:
        return self._pool.kv_tokens + self._cache.num_tokens

    def cost(self, newcomer: RequestState | None) -> int:
        return self._pool.cost(None if newcomer is None else self._key(newcomer))

    def cost_alone(self, request: RequestState) -> int:
        return self._key(request).num_tokens

    def open(self, request: RequestState) -> None:
        key = self._key(request)
        self._make_room(self._pool.growth(key))
        request.prefix = self._pool.add(key)

    def close(self, request: RequestState) -> None:
        self._pool.remove(request.prefix)
        request.prefix = None

    def reuse(self, request: RequestState) -> int:
        prefix: Prefix = request.prefix
        names = self._cache.names(request)[: self._cache.num_readable(request)]
        blocks = self._cache.acquire(names[prefix.num_tokens // PREFILL_CHUNK :])
        if blocks:
            prefix.bucket.cache.allocate(self._like)
        for block in blocks:
            self._kv(prefix, prefix.num_tokens).copy_(block.kv)
            prefix.num_tokens += PREFILL_CHUNK
        self._cache.release(blocks)
        return len(blocks) * PREFILL_CHUNK

    def prepare(self, chunks: Sequence[Chunk]) -> None:
        """The slots have room for the whole prompts."""

    def finish(self, chunk: Chunk) -> None:
        prefix: Prefix = chunk.request.prefix
        prefix.num_tokens = chunk.end
        number = chunk.start // PREFILL_CHUNK
        names = self._cache.names(chunk.request)[: number + 1]
        if number >= len(names) or names[number] in self._cache:
            return
        before = self._cache.acquire(names[:-1])
        if self._make_room(PREFILL_CHUNK, must=False):
            block = Block(self._kv(prefix, chunk.start).clone())
            self._cache.add(names[number], block)
            before.append(block)
        self._cache.release(before)

    def trim(self) -> None:
        self._pool.trim()

    def _kv(self, prefix: Prefix, start: int) -> Tensor:
        """A block's part of a slot."""
        kv = prefix.bucket.cache.kv_cache
        assert kv is not None, "a slot of a bucket that was never written"
        return kv[:, :, prefix.slot, :, start : start + PREFILL_CHUNK]

    def _key(self, request: RequestState) -> BucketKey:
        num_rows = min(request.request.num_samples, self._max_rows)
        return BucketKey.of(request.num_prompt_tokens, num_rows)
