"""How nanochat's chat format becomes tokens."""

from __future__ import annotations

from vocab.special import ASSISTANT_START, USER_END, USER_START
from vocab.tokenizer import Tokenizer


def render_question(question: str, tokenizer: Tokenizer) -> list[int]:
    """The tokens of a conversation that asks `question` and waits for the assistant's answer.

    Source: `render_for_completion` of nanochat's tokenizer. Raises KeyError where the tokenizer
    lacks the special tokens of a conversation.
    """
    return [
        tokenizer.get_bos_token_id(),
        tokenizer.encode_special(USER_START),
        *tokenizer.encode(question),
        tokenizer.encode_special(USER_END),
        tokenizer.encode_special(ASSISTANT_START),
    ]
