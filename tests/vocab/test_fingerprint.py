"""The same tokens have the same fingerprint, and others have others."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from tiktoken import Encoding

from tests.vocab.encodings import tiny_encoding, tiny_state
from vocab import SPECIAL_TOKENS, BPETokenizer, ByteTokenizer, load_tokenizer, tokenizer_fingerprint


def fingerprint_of(**changes: Any) -> str:
    return tokenizer_fingerprint(BPETokenizer(Encoding(**{**tiny_state(), **changes})))


def test_the_fingerprint_outlives_the_file(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.pkl").write_bytes(pickle.dumps(tiny_encoding()))
    assert tokenizer_fingerprint(load_tokenizer(str(tmp_path))) == fingerprint_of(name="other")


def test_whatever_changes_a_prompt_changes_the_fingerprint() -> None:
    state = tiny_state()
    ranks, special = state["mergeable_ranks"], state["special_tokens"]
    assert isinstance(ranks, dict) and isinstance(special, dict)
    swapped = {**ranks, b"he": ranks[b"ll"], b"ll": ranks[b"he"]}
    names = list(special)
    renamed = {names[1]: special[names[2]], names[2]: special[names[1]]}
    fingerprints = [
        fingerprint_of(),
        fingerprint_of(pat_str=r"\p{L}|\p{N}{1,2}| ?[^\s\p{L}\p{N}]+|\s+"),
        fingerprint_of(mergeable_ranks=swapped),
        fingerprint_of(special_tokens={**special, **renamed}),
        fingerprint_of(special_tokens={**special, "<|more|>": max(special.values()) + 1}),
        tokenizer_fingerprint(ByteTokenizer()),
        tokenizer_fingerprint(ByteTokenizer(SPECIAL_TOKENS[::-1])),
        tokenizer_fingerprint(ByteTokenizer(SPECIAL_TOKENS[:1])),
    ]
    assert len(set(fingerprints)) == len(fingerprints)


def test_the_fingerprint_of_the_bytes_stays() -> None:
    """It stands in the manifests of runs that are to be resumed."""
    assert tokenizer_fingerprint(ByteTokenizer()) == (
        "f27459f9aa5216b7da4593102076dc705dcc2f655c3cf153fa6a3619876abbb8"
    )
