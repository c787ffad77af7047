"""Files and batches belong to the tenant whose key made them."""

from __future__ import annotations

from pathlib import Path

import openai
import pytest

from gateway.access.api_key import hash_of
from tests.gateway.batches.conftest import Gateways, create, ended, line, read, upload


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """The key of each of these tenants is its name."""
    path = tmp_path / "keys.toml"
    path.write_text(
        "".join(f'[[keys]]\nname = "{name}"\nsha256 = "{hash_of(name)}"\n' for name in ("a", "b"))
    )
    return path


def test_nobody_sees_what_is_another_s(gateways: Gateways, keys: Path) -> None:
    with (
        gateways.one(keys_file=keys) as nobody,
        nobody.with_options(api_key="a") as a,
        nobody.with_options(api_key="b") as b,
    ):
        batch = ended(a, create(a, [line(0)]).id)
        assert batch.status == "completed" and batch.output_file_id
        assert len(read(a, batch.output_file_id)) == 1
        assert len(a.files.list().data) == 2 and len(a.batches.list().data) == 1
        assert b.files.list().data == [] and b.batches.list().data == []
        for file_id in (batch.input_file_id, batch.output_file_id):
            for ask in (b.files.retrieve, b.files.content, b.files.delete):
                with pytest.raises(openai.NotFoundError):
                    ask(file_id)
        for ask in (b.batches.retrieve, b.batches.cancel):
            with pytest.raises(openai.NotFoundError):
                ask(batch.id)
        with pytest.raises(openai.NotFoundError):
            b.batches.create(
                input_file_id=batch.input_file_id,
                endpoint="/v1/completions",
                completion_window="24h",
            )
        for ask in (nobody.files.list, nobody.batches.list):
            with pytest.raises(openai.AuthenticationError):
                ask()
        with pytest.raises(openai.AuthenticationError):
            upload(nobody, b"x")
    assert list(gateways.data.glob("key-b/*/*[!k]")) == []  # but for a lock
