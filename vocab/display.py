"""Tokens as text for people, with the special tokens in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from vocab.special import SPECIAL_TOKENS
from vocab.tokenizer import ChatTokenizer, Tokenizer


def display(tokens: Sequence[int], tokenizer: Tokenizer) -> str:
    """The text of tokens, with the model's special tokens by name: nanochat's, or its own.

    Raises what the tokenizer's `decode` does for tokens that it does not have.
    """
    names = special_names(tokenizer)
    runs = groupby(tokens, key=names.get)
    return "".join(
        tokenizer.decode(list(run)) if name is None else name * len(list(run)) for name, run in runs
    )


def special_names(tokenizer: Tokenizer) -> Mapping[int, str]:
    """The special tokens' names by their ids: nanochat's, or the model's own.

    Raises KeyError where the tokenizer has neither.
    """
    if isinstance(tokenizer, ChatTokenizer):
        return {token: name for name, token in tokenizer.special_tokens.items()}
    return {tokenizer.encode_special(name): name for name in SPECIAL_TOKENS}
