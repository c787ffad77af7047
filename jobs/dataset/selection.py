"""Selection: which inputs of the files a run samples."""

from __future__ import annotations

import dataclasses

from jobs.errors import InvalidJobError, brief


@dataclasses.dataclass(frozen=True, slots=True)
class Shard:
    """Every `count`-th input, beginning with that at `number`, from 0."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """From "i/n". Whoever counts from 1 writes n/n for the same shard as 0/n."""
        number, slash, count = text.partition("/")
        is_plain = all(part.isascii() and part.isdigit() for part in (number, count))
        if not slash or not is_plain or not 0 <= int(number) <= int(count) <= 10**6 or count == "0":
            limit = "i/n, such as 0/4 or 3/4, with n from 1 to 1000000 and i up to n"
            raise InvalidJobError("shard", brief(text), limit)
        return cls(int(number) % int(count), int(count))

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """`limit`: how many inputs of the files there are to choose from, None: all."""

    limit: int | None = None
    shard: Shard | None = None

    def __contains__(self, index: int) -> bool:
        return (self.limit is None or index < self.limit) and (
            self.shard is None or index % self.shard.count == self.shard.number
        )

    def count(self, num_inputs: int) -> int:
        """How many of so many inputs are selected."""
        num_left = num_inputs if self.limit is None else min(num_inputs, self.limit)
        if self.shard is None:
            return num_left
        return len(range(self.shard.number, num_left, self.shard.count))
