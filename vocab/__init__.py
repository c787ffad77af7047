"""Text to tokens and back: tokenizers, special tokens and the chat format. Knows no torch."""

from vocab.bpe import BPETokenizer
from vocab.byte import ByteTokenizer
from vocab.errors import ConversationError, TokenizerError
from vocab.fingerprint import tokenizer_fingerprint
from vocab.hf import HFTokenizer
from vocab.load import find_tokenizer, load_tokenizer
from vocab.special import SPECIAL_TOKENS
from vocab.text_stream import TextStream
from vocab.tokenizer import Tokenizer

__all__ = [
    "SPECIAL_TOKENS",
    "BPETokenizer",
    "ByteTokenizer",
    "ConversationError",
    "HFTokenizer",
    "TextStream",
    "Tokenizer",
    "TokenizerError",
    "find_tokenizer",
    "load_tokenizer",
    "tokenizer_fingerprint",
]
