"""What the engines are given: requests, and when they come."""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BenchRequest:
    """`num_samples` rows for one prompt, sampled at temperature 1 from the whole vocabulary."""

    prompt_tokens: tuple[int, ...]
    num_samples: int
    max_tokens: int
    row_lengths: tuple[int, ...]
    """How many tokens Rowmill's rows get, which are the same in every run. They are `max_tokens`
    each, unless the model has a token that ends rows."""
    arrival: int = 0
    """It comes once so many tokens of the workload were generated: a clock that is the same for
    fast engines and slow ones. Engines that can't take requests while they run ignore it."""

    @property
    def num_tokens(self) -> int:
        """The longest that a row can get, its prompt included."""
        return len(self.prompt_tokens) + self.max_tokens


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    name: str
    requests: tuple[BenchRequest, ...]
    """In the order of their arrival."""

    @property
    def num_rows(self) -> int:
        return sum(request.num_samples for request in self.requests)

    @property
    def row_lengths(self) -> list[int]:
        """Those of all requests, in order."""
        return [length for request in self.requests for length in request.row_lengths]

    @property
    def is_uniform(self) -> bool:
        """Whether all requests want the same number of rows, and of tokens."""
        return len({(r.num_samples, r.max_tokens) for r in self.requests}) == 1

    def capped(
        self, *, num_requests: int, num_samples: int, num_prompt_tokens: int, max_tokens: int
    ) -> Workload:
        """The first requests, none of them larger than this."""
        requests = tuple(
            dataclasses.replace(
                request,
                prompt_tokens=request.prompt_tokens[:num_prompt_tokens],
                num_samples=min(request.num_samples, num_samples),
                max_tokens=min(request.max_tokens, max_tokens),
                row_lengths=tuple(
                    min(length, max_tokens) for length in request.row_lengths[:num_samples]
                ),
            )
            for request in self.requests[:num_requests]
        )
        return dataclasses.replace(self, requests=requests)

    def quick(self, num_requests: int = 4, num_samples: int = 3) -> Workload:
        """A handful of tokens of it, for a smoke test."""
        return self.capped(
            num_requests=num_requests, num_samples=num_samples, num_prompt_tokens=32, max_tokens=6
        )

    def warm_up(self) -> Workload:
        """A short one with prompts of the same lengths, for what is slow only once."""
        return self.capped(num_requests=2, num_samples=8, num_prompt_tokens=512, max_tokens=4)

    def summary(self) -> dict[str, Any]:
        """What a reader of the figures wants to know of it."""
        prompts = [len(request.prompt_tokens) for request in self.requests]
        return {
            "requests": len(self.requests),
            "rows": self.num_rows,
            "prompt_tokens": sum(prompts),
            "longest_prompt": max(prompts),
            "tokens": sum(self.row_lengths),
        }
