"""Tokens as text for people, with the special tokens in it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from vocab.special import SPECIAL_TOKENS
from vocab.tokenizer import ChatTokenizer, Tokenizer


def display(tokens: Sequence[int], tokenizer: Tokenizer) -> str:
    """The text of tokens, with the model's special tokens by name: nanochat's, or its own.

    Raises what the tokenizer's `decode` does for tokens that it does not have.
    """
    if isinstance(tokenizer, ChatTokenizer):
        names = {token: name for name, token in tokenizer.special_tokens.items()}
    else:
        names = {tokenizer.encode_special(name): name for name in SPECIAL_TOKENS}
    runs = groupby(tokens, key=names.get)
    return "".join(
        tokenizer.decode(list(run)) if name is None else name * len(list(run)) for name, run in runs
    )
