"""Where prompts live: each once, however many rows read it.

Prompts of like size share a bucket: one tensor, and in torch's way one masked call per layer for
all of them. A bucket's capacity is a power of two, and so is the number of queries per prompt for
which such calls are laid out; both follow from the request alone. The native kernel reads each
prompt up to its length, in whatever bucket. Which bucket it is changes no bits, in either way.
"""

from __future__ import annotations

import dataclasses

from engine.invariance import KEY_TILE, QUERY_TILE, power_of_two
from engine.kv_cache import KVCache
from engine.models.packed import ModelShape


@dataclasses.dataclass(frozen=True, slots=True)
class BucketKey:
    num_tokens: int
    """Room per prompt."""
    num_queries: int
    """Rows per prompt that one call has room for."""

    @classmethod
    def of(cls, num_prompt_tokens: int, num_rows: int) -> BucketKey:
        """Rows grow by steps of four: 4, 16, 64 and so on."""
        queries = QUERY_TILE
        while queries < num_rows:
            queries *= 4
        return cls(power_of_two(num_prompt_tokens, KEY_TILE), queries)


class Prefix:
    """A prompt's place: a slot of a bucket."""

    __slots__ = ("bucket", "num_tokens", "slot")

    def __init__(self, bucket: Bucket, slot: int) -> None:
        self.bucket = bucket
        self.slot = slot
        self.num_tokens = 0
        """How many of the prompt's tokens have been written."""


class Bucket:
    def __init__(self, key: BucketKey, shape: ModelShape) -> None:
        self.key = key
        self.prefixes: list[Prefix] = []
        self.cache = KVCache(
            0, shape.num_kv_heads, key.num_tokens, shape.head_dim, shape.num_layers
        )

    @property
    def kv_tokens(self) -> int:
        return self.cache.num_rows * self.key.num_tokens

    def lengths(self) -> list[int]:
        """Tokens per slot; at least one, as attention over no key at all is undefined."""
        return [max(prefix.num_tokens, 1) for prefix in self.prefixes]

    def trim(self) -> None:
        """Give back the slots that growth by doubling keeps in reserve."""
        num_slots = slots_for(len(self.prefixes))
        if num_slots < self.cache.num_rows:
            self.cache.resize(num_rows=num_slots)


def slots_for(num_prefixes: int) -> int:
    return power_of_two(num_prefixes, 1) if num_prefixes else 0


class PrefixPool:
    def __init__(self, shape: ModelShape) -> None:
        self._shape = shape
        self.buckets: dict[BucketKey, Bucket] = {}

    @property
    def kv_tokens(self) -> int:
        return sum(bucket.kv_tokens for bucket in self.buckets.values())

    def cost(self, newcomer: BucketKey | None) -> int:
        """Tokens of memory that the prompts need, with one more of this key if it is given."""
        nums = {key: len(bucket.prefixes) for key, bucket in self.buckets.items()}
        if newcomer is not None:
            nums[newcomer] = nums.get(newcomer, 0) + 1
        return sum(slots_for(num) * key.num_tokens for key, num in nums.items())

    def growth(self, key: BucketKey) -> int:
        """Tokens by which memory grows when a prompt with this key is added."""
        bucket = self.buckets.get(key)
        num_prefixes, num_slots = (
            (len(bucket.prefixes), bucket.cache.num_rows) if bucket else (0, 0)
        )
        return max(slots_for(num_prefixes + 1) - num_slots, 0) * key.num_tokens

    def add(self, key: BucketKey) -> Prefix:
        bucket = self.buckets.get(key)
        if bucket is None:
            bucket = self.buckets[key] = Bucket(key, self._shape)
        prefix = Prefix(bucket, len(bucket.prefixes))
        bucket.prefixes.append(prefix)
        if len(bucket.prefixes) > bucket.cache.num_rows:
            bucket.cache.resize(num_rows=slots_for(len(bucket.prefixes)))
        else:
            bucket.cache.clear_row(prefix.slot)
        return prefix

    def remove(self, prefix: Prefix) -> None:
        """The bucket's last prompt takes the place of the one that leaves."""
        bucket = prefix.bucket
        last = bucket.prefixes.pop()
        if last is not prefix:
            bucket.cache.move_row(last.slot, prefix.slot)
            bucket.prefixes[prefix.slot] = last
            last.slot = prefix.slot
        if not bucket.prefixes:
            del self.buckets[bucket.key]

    def trim(self) -> None:
        for bucket in self.buckets.values():
            bucket.trim()
