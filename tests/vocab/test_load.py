"""A checkpoint's tokenizer is found where nanochat leaves it, or where its meta file says."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

from tests.vocab.encodings import tiny_encoding
from vocab import BPETokenizer, ByteTokenizer, TokenizerError, find_tokenizer, load_tokenizer


def write_tokenizer(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(tiny_encoding()))


def write_meta(folder: Path, step: int, meta: object) -> None:
    (folder / f"meta_{step:06d}.json").write_text(json.dumps(meta))


@pytest.mark.parametrize("place", ["tokenizer.pkl", "tokenizer/tokenizer.pkl"])
def test_a_pickle_in_the_folder_is_found(tmp_path: Path, place: str) -> None:
    write_tokenizer(tmp_path / place)
    assert isinstance(find_tokenizer(tmp_path, None), BPETokenizer)
    assert isinstance(load_tokenizer(str(tmp_path)), BPETokenizer)


def test_the_folder_of_another_model_is_not_searched(tmp_path: Path) -> None:
    write_tokenizer(tmp_path / "tokenizer" / "tokenizer.pkl")
    (tmp_path / "checkpoint").mkdir()
    assert find_tokenizer(tmp_path / "checkpoint", None) is None


def test_the_name_byte_needs_no_file(tmp_path: Path) -> None:
    assert isinstance(find_tokenizer(tmp_path, "byte"), ByteTokenizer)
    assert isinstance(load_tokenizer("byte"), ByteTokenizer)


def test_the_name_demo_is_the_shipped_models() -> None:
    assert isinstance(load_tokenizer("demo"), ByteTokenizer)


def test_the_newest_meta_file_names_the_tokenizer(tmp_path: Path) -> None:
    write_tokenizer(tmp_path / "tokenizer.pkl")
    write_meta(tmp_path, 999_999, {"tokenizer": "unknown"})
    write_meta(tmp_path, 1_000_000, {"tokenizer": "byte"})
    assert isinstance(load_tokenizer(str(tmp_path)), ByteTokenizer)
    write_meta(tmp_path, 1_000_001, {"model_config": {}})
    assert isinstance(load_tokenizer(str(tmp_path)), BPETokenizer)


def test_a_given_file_is_read(tmp_path: Path) -> None:
    write_tokenizer(tmp_path / "mine.pkl")
    assert isinstance(load_tokenizer(str(tmp_path / "mine.pkl")), BPETokenizer)


def test_an_unknown_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TokenizerError, match="'klingon'"):
        find_tokenizer(tmp_path, "klingon")


@pytest.mark.parametrize("meta", [{"tokenizer": 1}, {"tokenizer": ["byte"]}])
def test_a_meta_file_of_the_wrong_type_is_refused(tmp_path: Path, meta: object) -> None:
    write_meta(tmp_path, 1, meta)
    with pytest.raises(TokenizerError, match="must be a string"):
        load_tokenizer(str(tmp_path))


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "\ud800"])
def test_a_broken_meta_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "meta_000001.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(TokenizerError, match="is not JSON"):
        load_tokenizer(str(tmp_path))


def test_where_there_is_none_the_error_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(TokenizerError, match="holds no tokenizer"):
        load_tokenizer(str(tmp_path))
    with pytest.raises(TokenizerError, match="no such file or folder"):
        load_tokenizer(str(tmp_path / "absent"))
