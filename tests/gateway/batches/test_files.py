"""Files, as OpenAI's own client stores and reads them."""

from __future__ import annotations

import io
from pathlib import Path

import openai
import pytest

from gateway import GatewayConfig, create_app
from gateway.batches.file_store import FileStore
from gateway.config import GatewayConfigError
from tests.gateway.batches.conftest import Gateways, upload


def test_a_file_is_given_back_as_it_was_sent(theirs: openai.OpenAI) -> None:
    content = bytes(range(256)) * 3000  # several pieces on the way out
    file = theirs.files.create(file=("näme.jsonl", io.BytesIO(content)), purpose="batch")
    assert (file.object, file.purpose, file.status) == ("file", "batch", "processed")
    assert (file.bytes, file.filename, file.expires_at) == (len(content), "näme.jsonl", None)
    assert theirs.files.retrieve(file.id) == file
    assert theirs.files.content(file.id).read() == content


def test_a_deleted_file_is_gone(theirs: openai.OpenAI) -> None:
    file_id = upload(theirs, b"{}\n")
    assert theirs.files.delete(file_id).deleted
    for again in (theirs.files.retrieve, theirs.files.content, theirs.files.delete):
        with pytest.raises(openai.NotFoundError, match=file_id):
            again(file_id)
    assert file_id not in {file.id for file in theirs.files.list()}


def test_files_are_listed_by_pages_in_either_order(gateways: Gateways) -> None:
    with gateways.one() as client:
        ids = [upload(client, b"x" * size) for size in range(1, 6)]
        assert [file.id for file in client.files.list(order="asc", limit=2)] == ids
        assert [file.id for file in client.files.list(limit=2)] == ids[::-1]
        first = client.files.list(order="asc", limit=2)
        assert [file.id for file in first.data] == ids[:2] and first.has_more
        rest = client.files.list(order="asc", after=ids[2], limit=2)
        assert [file.id for file in rest.data] == ids[3:] and not rest.has_more
        client.files.delete(ids[2])  # whoever reads by pages may delete what was read
        rest = client.files.list(order="asc", after=ids[2])
        assert [file.id for file in rest.data] == ids[3:]
        assert client.files.list(purpose="batch_output").data == []


def test_a_file_that_is_too_large_leaves_nothing(gateways: Gateways) -> None:
    with gateways.one(max_file_bytes=1000) as client:
        upload(client, b"x" * 1000)
        with pytest.raises(openai.APIStatusError, match="larger than 1000 bytes") as raised:
            upload(client, b"x" * 1001)
        assert raised.value.status_code == 413
        with pytest.raises(openai.APIStatusError) as raised:
            upload(client, b"x" * 10**6)
        assert raised.value.status_code == 413
        assert len(client.files.list().data) == 1
    assert sorted(path.suffix for path in gateways.data.glob("*/files/*")) == [".json", ".jsonl"]


def test_a_caller_may_store_so_much(gateways: Gateways) -> None:
    with gateways.one(max_stored_bytes=100) as client:
        ids = [upload(client, b"x" * 60) for _ in range(2)]
        with pytest.raises(openai.UnprocessableEntityError, match="100 bytes"):
            upload(client, b"x")
        client.files.delete(ids[0])
        upload(client, b"x")


def test_only_files_for_batches_are_taken(theirs: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="purpose") as raised:
        theirs.files.create(file=io.BytesIO(b"x"), purpose="fine-tune")
    assert raised.value.param == "purpose"


def test_a_file_expires_when_it_was_said_to(gateways: Gateways) -> None:
    with gateways.one() as client:
        file = client.files.create(
            file=io.BytesIO(b"x"),
            purpose="batch",
            expires_after={"anchor": "created_at", "seconds": 3600},
        )
        assert file.expires_at == file.created_at + 3600
        with pytest.raises(openai.BadRequestError, match="3600") as raised:
            client.files.create(
                file=io.BytesIO(b"x"),
                purpose="batch",
                expires_after={"anchor": "created_at", "seconds": 3599},
            )
        assert raised.value.param == "expires_after[seconds]"

    store = FileStore(gateways.data)
    path = next(gateways.data.glob("*/files/*.json"))
    path.write_text(file.model_copy(update={"expires_at": file.created_at - 1}).model_dump_json())
    assert store.get(None, file.id) is None
    assert list(gateways.data.glob("*/files/*")) == []


@pytest.mark.parametrize(
    "name", ["../../x", "file-", "file-" + "0" * 31 + "/", "batch_" + "0" * 32]
)
def test_what_is_no_id_names_no_file(theirs: openai.OpenAI, name: str) -> None:
    with pytest.raises(openai.NotFoundError):
        theirs.files.retrieve(name)


def test_without_a_folder_there_are_no_files_and_no_batches(gateways: Gateways) -> None:
    with gateways.one(data=None) as client:
        for asked in (client.files.list, client.batches.list):
            with pytest.raises(openai.NotFoundError, match="--batch-folder"):
                asked()
        with pytest.raises(openai.NotFoundError, match="--batch-folder"):
            upload(client, b"{}\n")


def test_a_folder_that_can_t_be_written_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(GatewayConfigError, match="file can't be written"):
        create_app(GatewayConfig(redis_url="redis://localhost", data=tmp_path / "file"))


def test_callers_see_their_own_files_alone(gateways: Gateways) -> None:
    store = FileStore(gateways.data)
    tenants = (None, "everybody", "..", "a")
    for tenant in tenants:
        path = store.temporary(tenant)
        path.write_text(str(tenant))
        store.add(tenant, path, filename="x", purpose="batch")
    ids = {tenant: [file.id for file in store.listed(tenant)] for tenant in tenants}
    assert {len(one) for one in ids.values()} == {1}
    assert len({one[0] for one in ids.values()}) == len(tenants)
    assert store.get("a", ids[None][0]) is None
    assert not store.delete("a", ids[".."][0])
    assert store.content("..", ids[".."][0]).read_text() == ".."
    assert {path.parent for path in gateways.data.rglob("files")} == set(gateways.data.iterdir())
