"""What a model and an engine's settings allow."""

from __future__ import annotations

from typing import Any

from engine.checks import check_integer
from engine.config import EngineConfig
from engine.errors import ModelError, RequestError
from engine.models.packed import ModelShape
from engine.request import Request
from engine.tool_use import terminal_tokens
from vocab.tokenizer import Tokenizer


def allowed_new_tokens(request: Request, shape: ModelShape, config: EngineConfig) -> int:
    """How many tokens a row of this request may get. Raises RequestError naming field and limit."""
    num_prompt_tokens = len(request.prompt_tokens)
    room = shape.max_seq_len - num_prompt_tokens
    if room < 1:
        raise RequestError(
            "prompt_tokens",
            f"must be at most {shape.max_seq_len - 1} tokens for the model's context of "
            f"{shape.max_seq_len}, not {num_prompt_tokens}",
        )
    for token in (min(request.prompt_tokens), max(request.prompt_tokens)):
        check_integer("prompt_tokens", token, 0, (shape.vocab_size or 2**31) - 1)
    if config.max_num_samples is not None:
        check_integer("num_samples", request.num_samples, 1, config.max_num_samples)
    wanted = request.params.max_tokens
    if config.max_new_tokens is not None and config.max_new_tokens < room:
        room = config.max_new_tokens
        if wanted is None:
            raise RequestError("max_tokens", f"must be given here, from 1 to {room}")
    if wanted is not None and wanted > room:
        raise RequestError(
            "max_tokens", f"must be at most {room} after this prompt and model, not {wanted}"
        )
    return room if wanted is None else wanted


def check_vocabulary(tokenizer: Tokenizer | None, shape: ModelShape) -> None:
    """A token that is forced into a row must be one that the model can read."""
    size = getattr(tokenizer, "get_vocab_size", lambda: 0)()
    if shape.vocab_size is not None and size > shape.vocab_size:
        raise ModelError(
            f"the tokenizer has {size} tokens and the model {shape.vocab_size}: "
            "it is another model's tokenizer"
        )


def end_tokens(model: Any, tokenizer: Tokenizer | None, shape: ModelShape) -> frozenset[int]:
    """The tokens that end rows: those that the model names, else its tokenizer's.

    Only such as the model can come to: a tokenizer may name more, and to forbid one of those for a
    while would be to write beside the model's logits.
    """
    ends: frozenset[int] = getattr(model, "end_tokens", None) or terminal_tokens(tokenizer)
    size = shape.vocab_size
    return ends if size is None else frozenset(end for end in ends if 0 <= end < size)
