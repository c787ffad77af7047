"""Tolerance: how many inputs may fail before a run is plainly broken."""

from __future__ import annotations

import dataclasses

from jobs.dataset.errors import TooManyFailuresError
from jobs.errors import InvalidJobError, brief

_LEAST_INPUTS = 100
"""A share of fewer says little."""


@dataclasses.dataclass(frozen=True, slots=True)
class Tolerance:
    """Stops a run at that many failures, or above that share of the inputs. None: never."""

    count: int | None = None
    share: float | None = None

    @classmethod
    def parse(cls, value: bool | int | float | str | None) -> Tolerance:
        """From true (the first failure stops), a count such as 10, or a share such as 0.05.

        Raises InvalidJobError.
        """
        text = str(value).strip().lower()
        if text in ("none", "false"):
            return cls()
        if text == "true":
            return cls(count=1)
        try:
            if text.isascii() and text.isdigit() and int(text) > 0:
                return cls(count=int(text))
            if 0 < float(text) < 1:
                return cls(share=float(text))
        except ValueError:
            pass
        limit = "true, a count of at least 1, or a share between 0 and 1"
        raise InvalidJobError("fail_on_error", brief(value), limit)

    def check(
        self, num_failed: int, num_inputs: int, last: str | None = None, *, is_end: bool = False
    ) -> None:
        """`num_inputs`: those that are done, the failed among them; `last`: where and why the last
        of these failed. Raises TooManyFailuresError."""
        says_much = is_end or num_inputs >= _LEAST_INPUTS
        if (self.count is not None and num_failed >= self.count) or (
            self.share is not None and says_much and num_failed > self.share * num_inputs
        ):
            raise TooManyFailuresError(num_failed, num_inputs, last)
