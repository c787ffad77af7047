"""Tells whether two tokenizers would give the same prompts the same tokens."""

from __future__ import annotations

import hashlib
import json

from vocab.special import SPECIAL_TOKENS
from vocab.tokenizer import ChatTokenizer, Tokenizer

# Words, numbers, white space, code, scripts that few merges cover, and what is no letter at all.
_TEXT = (
    "The quick brown fox jumps over the lazy dog, and it's 1,234,567.89 years since: don't they'll "
    "WE'VE supercalifragilistic internationalization\n\n\tdef f(x):\r\n        return x**2 != 0x7f"
    " # why?!...   --==>> <|bos|> https://example.com/?q=%20&r=[1]{2}$3_4 e\u0301\u00e9 na\u00efve "
    "\u00df\u0153\u0130\u0131 \u0395\u03bb\u03bb\u03b7\u03bd\u03b9\u03ba\u03ac "
    "\u0420\u0443\u0441\u0441\u043a\u0438\u0439 \u05e2\u05d1\u05e8\u05d9\u05ea "
    "\u0627\u0644\u0639\u0631\u0628\u064a\u0629 \u0939\u093f\u0928\u094d\u0926\u0940 "
    "\u0e44\u0e17\u0e22 \u4e2d\u6587\u6f22\u5b57 \u65e5\u672c\u8a9e\u306e\u30ab\u30ca "
    "\ud55c\uad6d\uc5b4 \U0001f600\U0001f469\u200d\U0001f52c\u2211\u222b\u221e\u00a0\u2028\ufeff\0"
)


def tokenizer_fingerprint(tokenizer: Tokenizer) -> str:
    """SHA-256, in hexadecimal, of what a tokenizer does.

    Over the size of its vocabulary, the text of each id, the ids of nanochat's special tokens and
    the tokens of a fixed, varied text. So equal fingerprints make it all but sure that prompts
    become the same tokens, whatever files the two were read from. A tokenizer that knows its
    model's chat format tells all that it does, and that is what counts then.
    """
    if isinstance(tokenizer, ChatTokenizer):
        return hashlib.sha256(tokenizer.definition().encode()).hexdigest()
    size = tokenizer.get_vocab_size()
    known = {
        "size": size,
        "texts": [tokenizer.decode([token]) for token in range(size)],
        "special": [_special_id(tokenizer, name) for name in SPECIAL_TOKENS],
        "bos": tokenizer.get_bos_token_id(),
        "sample": list(tokenizer.encode(_TEXT)),
    }
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()


def _special_id(tokenizer: Tokenizer, name: str) -> int | None:
    try:
        return tokenizer.encode_special(name)
    except KeyError:
        return None
