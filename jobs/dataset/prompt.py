"""A prompt as tokens, whatever it was written as."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jobs.dataset.errors import LineError
from jobs.errors import brief
from vocab import ConversationError, Tokenizer, TokenizerError
from vocab.conversation import render_messages, render_question, render_text
from vocab.tokenizer import ChatTokenizer


class Prompter:
    """Makes tokens of prompts: a list of token IDs, text, or a list of chat messages.

    `is_chat`: text is a user's question in a chat; otherwise it is encoded as it is, after the
    token that begins a sequence.
    """

    def __init__(self, tokenizer: Tokenizer | None, *, is_chat: bool) -> None:
        self._tokenizer = tokenizer
        self._is_chat = is_chat

    def without_text(self) -> Prompter:
        """One that checks prompts all the same, and encodes no text: many times as fast.

        Only a chat template knows what it refuses, so a tokenizer that has one stays.
        """
        if isinstance(self._tokenizer, ChatTokenizer):
            return self
        return Prompter(self._tokenizer and _NoTokens(), is_chat=self._is_chat)

    def tokens(self, prompt: object, name: str) -> Sequence[object]:
        """The tokens of what column `name` holds; token IDs are given back unchecked.

        Raises LineError for what is no prompt, and TokenizerError for text where there is no
        tokenizer.
        """
        if prompt == []:
            raise LineError(f"{name}: is empty")
        if isinstance(prompt, list) and not (prompt and isinstance(prompt[0], Mapping)):
            return prompt
        if not isinstance(prompt, str | list):
            limit = "text, a list of token IDs or a list of messages"
            raise LineError(f"{name}: {brief(prompt)} is not allowed; it must be {limit}")
        if self._tokenizer is None:
            raise TokenizerError("text needs a model's tokenizer")
        try:
            return self._rendered(prompt, self._tokenizer)
        except ConversationError as error:
            raise LineError(f"{name}: {error}") from error
        except KeyError as error:
            raise LineError(f"{name}: the tokenizer has no {error}, which chats need") from error

    def _rendered(self, prompt: str | list[object], tokenizer: Tokenizer) -> list[int]:
        if isinstance(prompt, list):
            return render_messages(prompt, tokenizer)
        if self._is_chat:
            return render_question(prompt, tokenizer)
        return render_text(prompt, tokenizer)


class _NoTokens:
    """A tokenizer to which every special token is 0 and text is nothing."""

    def get_vocab_size(self) -> int:
        return 1

    def get_bos_token_id(self) -> int:
        return 0

    def encode_special(self, name: str) -> int:
        return 0

    def encode(self, text: str) -> list[int]:
        return []

    def decode(self, tokens: Sequence[int]) -> str:
        return ""
