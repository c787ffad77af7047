"""How much memory keys and values may take: less after memory ran out, and slowly more again."""

from __future__ import annotations

_PATIENCE = 64
_MOST_PATIENCE = 2**16
_LEAST_GROWTH = 64


class KVBudget:
    """Tokens of keys and values that may be reserved at once.

    Steps that go well let a shrunk budget grow, up to the configured one. How many it takes
    doubles whenever memory runs out: else a long row could be started over for ever, each time
    that the budget had grown too far before its end.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        """The configured one."""
        self.tokens = most
        """The present one."""
        self.most_held = 0
        """Most tokens for which memory was there in a step that went well."""
        self._patience = _PATIENCE
        self._num_steps = 0
        """That went well, since the budget changed."""

    def note_step(self, held: int) -> None:
        """A step with something to do went well, with memory for so many tokens held after it."""
        self.most_held = max(self.most_held, held)
        if self.tokens == self.most:
            return
        self._num_steps += 1
        if self._num_steps == self._patience:
            self._num_steps = 0
            is_far_below = self.tokens < self.most_held // 2
            growth = self.tokens if is_far_below else self.tokens // 4
            self.tokens = min(self.tokens + max(growth, _LEAST_GROWTH), self.most)

    def shrink(self, wanted: int) -> None:
        """Memory ran out when so many tokens of it were held or asked for.

        Half of that fits for sure what was held, as a cache that grows is there twice for a moment.
        """
        self.tokens = max(min(self.tokens, wanted) // 2, 1)
        self._num_steps = 0
        self._patience = min(2 * self._patience, _MOST_PATIENCE)
