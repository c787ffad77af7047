"""A tokenizer's pickle is read without running anything in it."""

from __future__ import annotations

import builtins
import contextlib
import os
import pickle
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import tiktoken
import tiktoken.registry
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vocab.encodings import tiny_encoding, tiny_state
from vocab import TokenizerError
from vocab.pickled import read_encoding

GOOD = pickle.dumps(tiny_encoding())
HEAD = b"\x80\x04"  # protocol 4


def text(value: str) -> bytes:
    """The opcode SHORT_BINUNICODE with its argument."""
    return b"\x8c" + bytes([len(value)]) + value.encode()


def encoding_with(state: bytes) -> bytes:
    """A pickle of an Encoding whose state is what the opcodes `state` make."""
    return HEAD + text("tiktoken.core") + text("Encoding") + b"\x93)\x81" + state + b"b."


class Reduced:
    """Pickles to a call of `function`."""

    def __init__(self, function: Callable[..., object], *args: object) -> None:
        self.call = function, args

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.call


def read(folder: Path, data: bytes) -> tiktoken.Encoding:
    path = folder / "tokenizer.pkl"
    path.write_bytes(data)
    return read_encoding(path)


@pytest.mark.parametrize("protocol", [4, 5])
def test_what_nanochat_writes_is_read(tmp_path: Path, protocol: int) -> None:
    original = tiny_encoding()
    encoding = read(tmp_path, pickle.dumps(original, protocol=protocol))
    assert encoding.encode_ordinary("hello 1 + 1") == original.encode_ordinary("hello 1 + 1")
    assert encoding.special_tokens_set == original.special_tokens_set
    assert encoding.n_vocab == original.n_vocab


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_a_call_is_never_made(tmp_path: Path, protocol: int) -> None:
    victim = tmp_path / "victim"
    calls = [
        Reduced(os.system, f"touch {victim}"),
        Reduced(Path.touch, victim),
        Reduced(getattr, Reduced(__import__, "os"), "system"),
        Reduced(builtins.eval, f"open({str(victim)!r}, 'w')"),
        [tiny_encoding(), Reduced(os.mkdir, str(victim))],
        {"name": Reduced(os.mkdir, str(victim))},
    ]
    for call in calls:
        with pytest.raises(TokenizerError, match="refused"):
            read(tmp_path, pickle.dumps(call, protocol=protocol))
        assert not victim.exists()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("posix", "system"),
        ("builtins", "getattr"),
        ("builtins", "eval"),
        ("tiktoken.core", "Encoding.__init__.__globals__"),
        ("tiktoken", "Encoding"),
        ("tiktoken.registry", "get_encoding"),
        ("functools", "partial"),
    ],
)
def test_no_other_name_is_looked_up(tmp_path: Path, module: str, name: str) -> None:
    with pytest.raises(TokenizerError, match="refused"):
        read(tmp_path, HEAD + text(module) + text(name) + b"\x93)\x81.")


def test_a_registered_name_is_not_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(name: str) -> None:
        raise AssertionError(f"{name} was fetched")

    monkeypatch.setattr(tiktoken.registry, "get_encoding", fetch)
    with pytest.raises(TokenizerError, match="is not a pickled tiktoken Encoding"):
        read(tmp_path, encoding_with(text("gpt2")))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not a pickle",
        b".",
        HEAD + b".",
        HEAD + b"}.",
        HEAD + text("a") + b".",
        HEAD + b"K\x01.",
        HEAD + text("tiktoken.core") + text("Encoding") + b"\x93.",
        HEAD + text("tiktoken.core") + text("Encoding") + b"\x93)\x81.",
        HEAD + text("tiktoken.core") + text("Encoding") + b"\x93}b.",
        encoding_with(b"}"),
        encoding_with(b")"),
        encoding_with(b"}(" + text("value") + b"K\x01u"),
        encoding_with(text("a") + b"b}"),
        HEAD + b"h\x05.",
        HEAD + b"j\xff\xff\xff\xff.",
        HEAD + b"r\xff\xff\xff\xff.",
        HEAD + b"X" + struct.pack("<I", 2**32 - 1) + b"a.",
        HEAD + b"\x8d" + struct.pack("<Q", 2**62) + b"a.",
        HEAD + b"\x95" + struct.pack("<Q", 2**62) + b".",
        HEAD + b"(" * 100_000 + b".",
        HEAD + b"}" * 100_000 + b"u" * 10 + b".",
        HEAD + b"Pname\n.",
        HEAD + b"\x82\x01.",
        GOOD[:-1],
        GOOD[: len(GOOD) // 2],
    ],
)
def test_a_broken_file_is_a_tokenizer_error_that_names_it(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(TokenizerError, match=r"tokenizer\.pkl"):
        read(tmp_path, data)


def pickled(state: object) -> bytes:
    """The pickle of an Encoding with any state, made of plain opcodes by Python itself."""
    body = pickle.dumps(state, protocol=4)
    assert body[:2] == HEAD
    start = 11 if body[2:3] == b"\x95" else 2  # past the frame's header
    return encoding_with(body[start:-1])


@pytest.mark.parametrize(
    "changes",
    [
        {"name": 1},
        {"pat_str": None},
        {"pat_str": b"a"},
        {"pat_str": "("},
        {"pat_str": "\ud800"},
        {"mergeable_ranks": None},
        {"mergeable_ranks": {}},
        {"mergeable_ranks": {b"a": 0}},
        {"mergeable_ranks": {"a": 0}},
        {"mergeable_ranks": {b"a": "0"}},
        {"mergeable_ranks": {bytes([byte]): 0 for byte in range(256)}},
        {"mergeable_ranks": {bytes([byte]): -byte for byte in range(256)}},
        {"special_tokens": None},
        {"special_tokens": {b"<|bos|>": 300}},
        {"special_tokens": {"<|bos|>": 0}},
        {"special_tokens": {"<|bos|>": True}},
        {"special_tokens": {"<|bos|>": 2**31}},
        {"special_tokens": {"<|bos|>": 300, "<|user_start|>": 300}},
        {"special_tokens": {"\ud800": 300}},
        {"special_tokens": {"hello": 300}},
        {"explicit_n_vocab": 1},
    ],
)
def test_a_state_of_the_wrong_kind_is_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    with pytest.raises(TokenizerError):
        read(tmp_path, pickled(tiny_state() | changes))


def test_the_right_state_is_read_back_so_the_tests_above_mean_something(tmp_path: Path) -> None:
    assert read(tmp_path, pickled(tiny_state())).n_vocab == tiny_encoding().n_vocab


def test_an_encoding_inside_an_encoding_is_refused(tmp_path: Path) -> None:
    inner = pickled(tiny_state())[2:-1]
    with pytest.raises(TokenizerError):
        read(tmp_path, encoding_with(inner))
    fields = b"".join(text(field) + inner for field in tiny_state())
    with pytest.raises(TokenizerError):
        read(tmp_path, encoding_with(b"}(" + fields + b"u"))


def test_a_missing_file_is_a_tokenizer_error(tmp_path: Path) -> None:
    with pytest.raises(TokenizerError, match="can't be read"):
        read_encoding(tmp_path / "tokenizer.pkl")


def test_without_tiktoken_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tiktoken", None)
    with pytest.raises(TokenizerError, match="pip install"):
        read(tmp_path, GOOD)


@settings(deadline=None)
@given(st.binary(max_size=60), st.integers(0, len(GOOD)), st.booleans())
def test_no_bytes_raise_anything_else(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, place: int, is_inserted: bool
) -> None:
    spoiled = GOOD[:place] + data + GOOD[place if is_inserted else place + len(data) :]
    with contextlib.suppress(TokenizerError):
        read(tmp_path_factory.getbasetemp(), spoiled)
