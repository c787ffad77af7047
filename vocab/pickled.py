"""Reads nanochat's `tokenizer.pkl`, a pickled tiktoken `Encoding`, without trusting it.

A pickle is a program. This reader runs only what the program of an `Encoding` is made of:

1. Its opcodes must be ones that build dicts, strings, bytes and integers, or make the one object.
   None of them calls a function.
2. The only name that it may look up is `tiktoken.core.Encoding`, and what it gets is a stand-in
   that records its state. (tiktoken's own `__setstate__` also takes the name of an encoding and
   may fetch that from the network.)
3. The state's types, keys and ids are checked, and then the constructor builds the `Encoding`.

So a file can do no harm when it is read. Whether its pattern splits text sensibly is not checked.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from pathlib import Path
from typing import TYPE_CHECKING

from vocab.errors import TokenizerError

if TYPE_CHECKING:
    from tiktoken import Encoding

# nanochat's own file has 65,536 tokens and about a megabyte.
_MAX_FILE_BYTES = 64 * 2**20
# Tokens travel and are computed with as signed 32-bit integers at the least.
_MAX_ID = 2**31 - 1

# All that protocols 4 and 5 (Python's defaults since 3.8) use for an Encoding. Without memo slots
# of a chosen number (PUT and its kin), a short file can't claim gigabytes either.
_OPCODES = frozenset(
    {
        *("PROTO", "FRAME", "MEMOIZE", "BINGET", "LONG_BINGET", "MARK", "STOP"),
        *("EMPTY_TUPLE", "EMPTY_DICT", "SETITEM", "SETITEMS"),
        *("SHORT_BINUNICODE", "BINUNICODE", "SHORT_BINBYTES", "BINBYTES"),
        *("BININT", "BININT1", "BININT2"),
        *("STACK_GLOBAL", "NEWOBJ", "BUILD"),
    }
)
_FIELDS = ("name", "pat_str", "mergeable_ranks", "special_tokens")


def read_encoding(path: Path) -> Encoding:
    """The tiktoken `Encoding` in a file that `pickle.dump` wrote.

    Raises TokenizerError for a file that is missing, too large, not such a pickle, or holds
    anything else, and where tiktoken is not installed. Nothing in the file is run.
    """
    try:
        return _build(_read_state(_read_bytes(path)))
    except TokenizerError as error:
        raise TokenizerError(f"{path}: {error}") from error.__cause__


def _read_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        raise TokenizerError(f"can't be read: {error.strerror}") from error
    if len(data) > _MAX_FILE_BYTES:
        raise TokenizerError(f"is larger than {_MAX_FILE_BYTES} bytes")
    return data


class _State:
    """Stands in for `Encoding` while the pickle is read."""

    value: object = None

    def __setstate__(self, value: object) -> None:
        self.value = value


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> type[_State]:
        if (module, name) != ("tiktoken.core", "Encoding"):
            raise TokenizerError(f"refused: the pickle asks for {module}.{name}")
        return _State


def _read_state(data: bytes) -> dict[str, object]:
    """The state of the Encoding, as a dict of the right keys; their values are not yet checked."""
    try:
        for opcode, _, position in pickletools.genops(data):
            if opcode.name not in _OPCODES:
                raise TokenizerError(f"refused: opcode {opcode.name} at byte {position}")
        loaded = _Unpickler(io.BytesIO(data)).load()
    except TokenizerError:
        raise
    except Exception as error:  # a broken pickle may raise nearly anything
        raise TokenizerError("is not a pickled tiktoken Encoding") from error
    if not isinstance(loaded, _State) or not isinstance(loaded.value, dict):
        raise TokenizerError("is not a pickled tiktoken Encoding")
    if set(loaded.value) != set(_FIELDS):
        raise TokenizerError(f"an Encoding's state has the keys {', '.join(_FIELDS)}")
    return loaded.value


def _build(state: dict[str, object]) -> Encoding:
    name, pattern, ranks, special = (state[field] for field in _FIELDS)
    if not isinstance(name, str) or not isinstance(pattern, str):
        raise TokenizerError("name and pat_str must be strings")
    _check_ids("mergeable_ranks", ranks, bytes)
    _check_ids("special_tokens", special, str)
    assert isinstance(ranks, dict) and isinstance(special, dict)
    # tiktoken panics, which is no Exception, where these two do not hold.
    if len({*ranks.values(), *special.values()}) != len(ranks) + len(special):
        raise TokenizerError("two tokens have the same id")
    if not all(bytes([byte]) in ranks for byte in range(256)):
        raise TokenizerError("mergeable_ranks lacks some of the 256 bytes")
    try:
        from tiktoken import Encoding
    except ImportError as error:
        raise TokenizerError("needs tiktoken: pip install 'rowmill[worker]'") from error
    try:
        # tiktoken would take the ordinary token's id for the special one's.
        if any(token.encode("utf-8") in ranks for token in special):
            raise TokenizerError("a special token is an ordinary one too")
        return Encoding(name, pat_str=pattern, mergeable_ranks=ranks, special_tokens=special)
    except ValueError as error:  # a pattern that does not compile, a lone surrogate
        raise TokenizerError("is not an Encoding that tiktoken can build") from error


def _check_ids(field: str, ids: object, key_type: type) -> None:
    # `type() is` and not isinstance, as True is no id.
    if type(ids) is not dict or not all(
        type(key) is key_type and type(value) is int and 0 <= value <= _MAX_ID
        for key, value in ids.items()
    ):
        raise TokenizerError(f"{field} must map {key_type.__name__} to ids from 0 to {_MAX_ID}")
