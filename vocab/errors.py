"""What reading a tokenizer and rendering a conversation raise."""

from __future__ import annotations


class TokenizerError(Exception):
    """A tokenizer that is missing, broken, of an unknown kind, or not safe to read."""


class ConversationError(ValueError):
    """A conversation that can't be rendered: the message at `index`, from 0, does not fit.

    None is no message's index: the conversation as a whole does not fit the model.
    """

    def __init__(self, index: int | None, reason: str) -> None:
        super().__init__(index, reason)
        self.index = index
        self.reason = reason

    def __str__(self) -> str:
        return self.reason if self.index is None else f"message {self.index}: {self.reason}"
