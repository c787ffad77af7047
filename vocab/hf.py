"""Hugging Face's tokenizers: a folder's tokenizer.json with its settings and its chat template."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vocab.chat_template import ChatTemplate
from vocab.errors import ConversationError, TokenizerError

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Library

_FILE = "tokenizer.json"
_SETTINGS = "tokenizer_config.json"
_TEMPLATE = "chat_template.jinja"
_OTHER_FORMS = ("tokenizer.model", "spiece.model", "vocab.json", "vocab.txt", "tekken.json")
_NAMES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token")
# Two characters that Unicode keeps for a program's own use stand around a special token's number.
_MARK, _MARKED = "\ufdd0{}\ufdd1", re.compile("\ufdd0(\\d+)\ufdd1")


class HFTokenizer:
    """A tokenizer of the `tokenizers` library. Needs neither torch nor transformers.

    Text is only ever ordinary text, in prompts and in messages: where it spells the name of a
    special token, that is encoded like any other characters, so a prompt can't forge one. (What a
    tokenizer adds to its vocabulary without calling it special, such as `<think>`, can be spelled.)
    """

    def __init__(
        self, definition: str, settings: Mapping[str, Any], template: str | None = None
    ) -> None:
        """`definition` is the text of a tokenizer.json, `settings` a parsed tokenizer_config.json.

        Raises TokenizerError for what is none.
        """
        self._library = _read(definition)
        self._library.encode_special_tokens = True
        names = {name: _content(settings.get(name)) for name in _NAMES}
        self._names = {name: text for name, text in names.items() if text is not None}
        self._special_ids = {
            token.content: number
            for number, token in self._library.get_added_tokens_decoder().items()
            if token.special
        }
        self._size = 1 + max(self._library.get_vocab(with_added_tokens=True).values(), default=-1)
        self._token_of_byte = self._find_bytes()
        self._byte_of = {token: byte for byte, token in enumerate(self._token_of_byte)}
        self._bos = self._find_bos(settings.get("add_bos_token"))
        self._template = None if template is None else ChatTemplate(template, self._names)

    @property
    def special_tokens(self) -> Mapping[str, int]:
        """The special tokens' names and ids."""
        return self._special_ids

    def to_json(self) -> str:
        """The library's own form of it."""
        return str(self._library.to_str())

    def definition(self) -> str:
        """All that makes tokens of prompts, as one text."""
        template = None if self._template is None else self._template.source
        return json.dumps([self.to_json(), self._bos, self._names, template])

    def get_vocab_size(self) -> int:
        """One more than the highest token id."""
        return self._size

    def get_bos_token_id(self) -> int | None:
        """The token that begins a sequence, or None where sequences begin without one."""
        return self._bos

    def get_end_token_ids(self) -> frozenset[int]:
        """The end of a sequence; a model's generation_config.json may know more of them."""
        end = self._special_ids.get(self._names.get("eos_token", ""))
        return frozenset() if end is None else frozenset({end})

    def encode_special(self, name: str) -> int:
        """The id of a special token. Raises KeyError for a name that is none."""
        return self._special_ids[name]

    def encode(self, text: str) -> list[int]:
        return list(self._library.encode(text, add_special_tokens=False).ids)

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of the ordinary tokens; special and unknown tokens have none.

        Bytes that are no UTF-8 are a U+FFFD each time that they go wrong.
        """
        known = [token for token in tokens if 0 <= token < self._size]
        if not self._byte_of.keys().isdisjoint(known):
            known = self._mended(known)
        return str(self._library.decode(known, skip_special_tokens=True))

    def render(self, messages: Sequence[object]) -> list[int]:
        """The tokens of a conversation that waits for the assistant's next message.

        It is the text that the model's chat template makes of it, with the special tokens that the
        template names. Raises ConversationError.
        """
        if self._template is None:
            raise ConversationError(None, "the model has no chat template: give its text as it is")
        text = self._template.render([self._marked(message) for message in messages])
        names = list(self._special_ids)
        tokens: list[int] = []
        for number, piece in enumerate(_MARKED.split(text)):
            if number % 2 == 0:
                tokens += self._templates.encode(piece, add_special_tokens=False).ids
            elif int(piece) < len(names):
                tokens += self.encode(names[int(piece)])
        return tokens

    @cached_property
    def _templates(self) -> Library:
        """The same tokenizer, to which the names of special tokens are these tokens."""
        library = _read(self._library.to_str())
        library.encode_special_tokens = False
        return library

    def _marked(self, part: object) -> Any:
        """A message, or a part of it, with marks where its text spells a special token's name.

        Names of fields, too: templates write the arguments of tool calls as JSON.
        """
        if isinstance(part, Mapping):
            return {self._marked(name): self._marked(value) for name, value in part.items()}
        if isinstance(part, list | tuple):
            return [self._marked(value) for value in part]
        if not isinstance(part, str):
            return part
        for number, name in enumerate(self._special_ids):
            part = part.replace(name, _MARK.format(number))
        return part

    def _mended(self, tokens: list[int]) -> list[int]:
        """With U+FFFD spelled out where bytes are no UTF-8.

        The library gives up all bytes of a run for one of them: a character that is not there as a
        whole would take those before it along.
        """
        mended: list[int] = []
        for is_bytes, run in groupby(tokens, key=self._byte_of.__contains__):
            if is_bytes:
                text = bytes(self._byte_of[token] for token in run).decode("utf-8", "replace")
                mended += [self._token_of_byte[byte] for byte in text.encode()]
            else:
                mended += run
        return mended

    def _find_bytes(self) -> list[int]:
        """The tokens of the 256 bytes, which spell what no other tokens do; none of them where the
        tokenizer has no such tokens."""
        found = [self._library.token_to_id(f"<0x{byte:02X}>") for byte in range(256)]
        tokens = [token for token in found if token is not None]
        has_all = len(tokens) == 256 and self._library.decode([tokens[ord("A")]]) == "A"
        return tokens if has_all else []

    def _find_bos(self, is_added: object) -> int | None:
        """Whether texts begin with the token is told by the settings, or else by what is done."""
        bos = self._special_ids.get(self._names.get("bos_token", ""))
        if is_added is not None:
            return bos if is_added is True else None
        return bos if bos in self._library.encode("x", add_special_tokens=True).ids[:1] else None


def is_hf_folder(folder: Path) -> bool:
    """Whether the tokenizer of a folder, if it has one, is of Hugging Face's form."""
    return any((folder / name).is_file() for name in ("config.json", _FILE, _SETTINGS))


def find_hf_tokenizer(folder: Path) -> HFTokenizer | None:
    """The tokenizer in a Hugging Face folder, or None where it has none.

    Raises TokenizerError for one that can't be read.
    """
    path = folder / _FILE
    if not path.is_file():
        others = [name for name in _OTHER_FORMS if (folder / name).is_file()]
        if others:
            raise TokenizerError(
                f"{folder} has {others[0]} and no {_FILE}: transformers writes one with "
                "AutoTokenizer.from_pretrained(folder).save_pretrained(folder)"
            )
        return None
    try:
        settings = _read_settings(folder / _SETTINGS)
        template = _read_template(folder / _TEMPLATE, settings.get("chat_template"))
        return HFTokenizer(path.read_text(encoding="utf-8"), settings, template)
    except TokenizerError as error:
        raise TokenizerError(f"{path}: {error}") from error.__cause__
    except (OSError, ValueError, RecursionError) as error:
        raise TokenizerError(f"{path}: can't be read: {error}") from error


def _read_settings(path: Path) -> Mapping[str, Any]:
    settings = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if not isinstance(settings, dict):
        raise TokenizerError(f"{path.name} is not a JSON object")
    return settings


def _read_template(path: Path, setting: object) -> str | None:
    """A file of its own, else the setting: a template, or several with names."""
    if path.is_file():
        return path.read_text(encoding="utf-8")
    if isinstance(setting, list):
        named = [its for its in setting if isinstance(its, dict) and its.get("name") == "default"]
        setting = named[0].get("template") if named else None
    if not isinstance(setting, str | None):
        raise TokenizerError("its chat_template is not a text")
    return setting


def _read(definition: str) -> Library:
    try:
        from tokenizers import Tokenizer as Library
    except ImportError as error:
        raise TokenizerError("needs tokenizers: pip install 'rowmill[hf]'") from error
    try:
        return Library.from_str(definition)
    except Exception as error:  # the library raises nothing narrower
        raise TokenizerError(f"is no tokenizer: {error}") from error


def _content(token: object) -> str | None:
    """A special token's name, which may come with how it is matched."""
    text = token.get("content") if isinstance(token, Mapping) else token
    return text if isinstance(text, str) else None
