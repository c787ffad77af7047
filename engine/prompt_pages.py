"""Where prompts live for the native kernel: in pages of a tile of keys, each wherever it is.

Prompts that begin alike have the pages of their common beginning in common: nothing is copied, and
the memory is needed once. A query's arithmetic is the same in whatever chunk its token is computed,
so any page's end is a boundary that keeps bits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from engine.invariance import KEY_TILE, round_up
from engine.models.packed import ModelShape
from engine.prefix_cache import Block, PrefixCache
from engine.prompts import MakeRoom
from engine.runner import Chunk
from engine.state import RequestState

PAGE = KEY_TILE
"""Tokens of a page: the kernel's tile of keys."""


class PagedPrompt:
    """A prompt's place: its pages so far, and the table in which the kernel finds them."""

    __slots__ = ("_table", "address", "num_tokens", "pages", "strides")

    def __init__(self, num_prompt_tokens: int, shape: ModelShape) -> None:
        self.pages: list[Block] = []
        self.num_tokens = 0
        """How many of the prompt's tokens have been written."""
        self._table = np.zeros(round_up(num_prompt_tokens, PAGE) // PAGE, dtype=np.int64)
        self.address: int = self._table.ctypes.data
        """Of the table of the pages' addresses."""
        per_head = PAGE * shape.head_dim
        to_values = shape.num_kv_heads * per_head
        self.strides = (per_head, to_values, 2 * to_values)
        """In a page, in elements: from head to head, from keys to values, from layer to layer."""

    def add(self, pages: Sequence[Block]) -> None:
        for page in pages:
            self._table[len(self.pages)] = page.kv.data_ptr()
            self.pages.append(page)

    def replace(self, number: int, page: Block) -> None:
        self._table[number] = page.kv.data_ptr()
        self.pages[number] = page


class PromptPages:
    """See `engine.prompts.Prompts` for the contract."""

    def __init__(
        self, shape: ModelShape, like: Tensor, cache: PrefixCache, make_room: MakeRoom
    ) -> None:
        """`like`: what the pages are made like."""
        self._shape = shape
        self._like = like
        self._cache = cache
        self._make_room = make_room
        self._wanted: Counter[bytes] = Counter()
        """Names of the blocks that open requests share with whom they can, each once in memory."""
        self._num_reserved = 0
        """Pages that open requests may need beside those."""
        self._num_own = 0
        """Pages that are there and not in the cache."""

    @property
    def kv_tokens(self) -> int:
        return self._num_own * PAGE + self._cache.num_tokens

    def cost(self, newcomer: RequestState | None) -> int:
        num_pages = len(self._wanted) + self._num_reserved
        if newcomer is not None:
            wanted = self._shared(newcomer)
            num_pages += self._num_pages(newcomer) - sum(name in self._wanted for name in wanted)
        return num_pages * PAGE

    def cost_alone(self, request: RequestState) -> int:
        return self._num_pages(request) * PAGE

    def open(self, request: RequestState) -> None:
        shared = self._shared(request)
        self._wanted.update(shared)
        self._num_reserved += self._num_pages(request) - len(shared)
        request.prefix = PagedPrompt(request.num_prompt_tokens, self._shape)

    def close(self, request: RequestState) -> None:
        shared = self._shared(request)
        for name in shared:
            self._wanted[name] -= 1
            if not self._wanted[name]:
                del self._wanted[name]
        self._num_reserved -= self._num_pages(request) - len(shared)
        pages: list[Block] = request.prefix.pages
        cached = [page for page in pages if page.name is not None]
        self._num_own -= len(pages) - len(cached)
        self._cache.release(cached)
        request.prefix = None

    def reuse(self, request: RequestState) -> int:
        prompt: PagedPrompt = request.prefix
        blocks = self._cache.acquire(self._shared(request)[len(prompt.pages) :])
        prompt.add(blocks)
        prompt.num_tokens += len(blocks) * PAGE
        return len(blocks) * PAGE

    def prepare(self, chunks: Sequence[Chunk]) -> None:
        for chunk in chunks:
            prompt: PagedPrompt = chunk.request.prefix
            num_new = round_up(chunk.end, PAGE) // PAGE - len(prompt.pages)
            self._make_room(num_new * PAGE)
            self._num_own += num_new
            prompt.add([self._new_page() for _ in range(num_new)])

    def finish(self, chunk: Chunk) -> None:
        prompt: PagedPrompt = chunk.request.prefix
        prompt.num_tokens = chunk.end
        first = chunk.start // PAGE
        names = self._cache.names(chunk.request)[first : chunk.end // PAGE]
        for number, name in enumerate(names, start=first):
            if name in self._cache:  # the same bits; two of them would be more than `cost` counts
                prompt.replace(number, *self._cache.acquire([name]))
            else:
                self._cache.add(name, prompt.pages[number])
            self._num_own -= 1

    def trim(self) -> None:
        """There is no reserve."""

    def _shared(self, request: RequestState) -> list[bytes]:
        """Of the blocks that it takes from the cache or computes for it, the only one to do so."""
        return self._cache.names(request)[: self._cache.num_readable(request)]

    def _num_pages(self, request: RequestState) -> int:
        return round_up(request.num_prompt_tokens, PAGE) // PAGE

    def _new_page(self) -> Block:
        shape = self._shape
        sizes = (shape.num_layers, 2, shape.num_kv_heads, PAGE, shape.head_dim)
        return Block(self._like.new_empty(sizes))
