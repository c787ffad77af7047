"""Multipart bodies that come in pieces of any size."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.batches.upload import Upload
from gateway.errors import ApiError

BOUNDARY = "1234abcd"
TYPE = f"multipart/form-data; boundary={BOUNDARY}"


def body_of(content: bytes, filename: str = "in.jsonl", **fields: str) -> bytes:
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    head = f'Content-Disposition: form-data; name="file"; filename="{filename}"'
    parts.append(f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode() + content + b"\r\n")
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def fed(body: bytes, size: int, max_bytes: int = 10_000) -> tuple[Upload, bytes]:
    target = io.BytesIO()
    upload = Upload(TYPE, target, max_bytes)
    for start in range(0, len(body), size):
        upload.feed(body[start : start + size])
    upload.end()
    return upload, target.getvalue()


@given(content=st.binary(max_size=300), size=st.integers(1, 400))
def test_whatever_the_pieces_the_file_is_what_was_sent(content: bytes, size: int) -> None:
    content = content.replace(BOUNDARY.encode(), b"")
    upload, got = fed(body_of(content, purpose="batch"), size)
    assert got == content
    assert (upload.filename, upload.fields) == ("in.jsonl", {"purpose": "batch"})


def test_a_file_is_taken_up_to_its_limit() -> None:
    fed(body_of(b"x" * 100), 7, max_bytes=100)
    with pytest.raises(ApiError, match="larger than 100 bytes") as raised:
        fed(body_of(b"x" * 101), 7, max_bytes=100)
    assert (raised.value.status, raised.value.param) == (413, "file")


@given(kept=st.integers(0, 150))
def test_a_body_that_is_cut_off_is_refused(kept: int) -> None:
    body = body_of(b"x" * 30, purpose="batch")
    cut = body[: min(kept, len(body) - 5)]
    with pytest.raises(ApiError) as raised:
        fed(cut, 64)
    assert raised.value.status == 400


@pytest.mark.parametrize(
    "body",
    [
        body_of(b"x").replace(b'; filename="in.jsonl"', b""),  # a field, and no file
        body_of(b"x").replace(b'"file"', b'"other"'),
        body_of(b"x", purpose="x" * 2000),
        body_of(b"x", **{f"field{number}": "x" for number in range(20)}),
        body_of(b"x")[: -len(BOUNDARY) - 6] + body_of(b"y"),  # two files
        b"nothing of the kind",
    ],
)
def test_a_body_of_another_form_is_refused(body: bytes) -> None:
    with pytest.raises(ApiError) as raised:
        fed(body, 50)
    assert raised.value.status == 400


@pytest.mark.parametrize("kind", [None, "", "application/json", "multipart/form-data"])
def test_a_content_type_without_a_boundary_is_refused(kind: str | None) -> None:
    with pytest.raises(ApiError) as raised:
        Upload(kind, io.BytesIO(), 100)
    assert raised.value.status == 400


def test_a_boundary_that_is_too_long_is_refused() -> None:
    with pytest.raises(ApiError) as raised:
        Upload(f"multipart/form-data; boundary={'x' * 2000}", io.BytesIO(), 100)
    assert raised.value.status == 400
