"""What tokens are called, one by one, where a program lists them."""

from __future__ import annotations

from vocab.display import special_names
from vocab.tokenizer import TellsBytes, Tokenizer

_UNKNOWN = "\ufffd"


class TokenNames:
    """Remembers what it has told: made once for a tokenizer."""

    def __init__(self, tokenizer: Tokenizer | None) -> None:
        self._tokenizer = tokenizer
        try:
            self._special = {} if tokenizer is None else special_names(tokenizer)
        except KeyError:
            self._special = {}
        self._known: dict[int, tuple[str, bytes | None]] = {}

    def name(self, token: int) -> str:
        """Its text; the name of a special token; `bytes:` and hexadecimal escapes for a part of a
        character, as OpenAI writes it; and `token_id:` with its number where none is known."""
        return self._told(token)[0]

    def utf8(self, token: int) -> bytes | None:
        """Its text as UTF-8, perhaps a part of a character; None where it has none, or nobody
        knows."""
        return self._told(token)[1]

    def special(self, token: int) -> str | None:
        """The name of a special token; None for others."""
        return self._special.get(token)

    def _told(self, token: int) -> tuple[str, bytes | None]:
        known = self._known.get(token)
        if known is None:
            known = self._known[token] = self._found(token)
        return known

    def _found(self, token: int) -> tuple[str, bytes | None]:
        if token in self._special:
            return self._special[token], None
        data = self._data(token)
        if not data:
            return f"token_id:{token}", None
        try:
            return data.decode(), data
        except UnicodeDecodeError:
            return "bytes:" + "".join(f"\\x{byte:02x}" for byte in data), data

    def _data(self, token: int) -> bytes | None:
        tokenizer = self._tokenizer
        if tokenizer is None:
            return None
        try:
            if isinstance(tokenizer, TellsBytes):
                return tokenizer.token_bytes(token)
            # Behind itself, as some tokenizers leave out a space at the beginning of a text.
            once, twice = tokenizer.decode([token]), tokenizer.decode([token, token])
        except (KeyError, ValueError, OverflowError):
            return None
        text = twice[len(once) :]
        return None if _UNKNOWN in text else text.encode()
