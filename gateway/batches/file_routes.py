"""/v1/files: files that batches read and write."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import ValidationError
from starlette.requests import ClientDisconnect

from gateway.batches.dependencies import TheDesk
from gateway.batches.desk import Desk
from gateway.batches.disk import told_of_full_disk
from gateway.batches.examples import A_FILE, DELETED, FILE_LINE, page_of
from gateway.batches.expires_after import ExpiresAfter
from gateway.batches.paging import page
from gateway.batches.stored_file import Purpose, StoredFile
from gateway.batches.upload import Upload
from gateway.caller import Caller
from gateway.dependencies import TheCaller
from gateway.error_docs import errors, shown
from gateway.errors import ApiError

router = APIRouter(prefix="/v1/files", tags=["files and batches"])

CONTENT_TYPE = "application/octet-stream"
_PIECE_BYTES = 2**18
_FORM = {
    "type": "object",
    "required": ["file", "purpose"],
    "properties": {
        "file": {"type": "string", "format": "binary", "description": "Lines of JSON."},
        "purpose": {"type": "string", "enum": ["batch"]},
        "expires_after[anchor]": {"type": "string", "enum": ["created_at"]},
        "expires_after[seconds]": {"type": "integer", "minimum": 3600, "maximum": 2592000},
    },
}


@router.post(
    "",
    responses={**shown(A_FILE), **errors(400, 401, 404, 413, 422)},
    openapi_extra={
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _FORM}}}
    },
)
async def upload_file(request: Request, desk: TheDesk, caller: TheCaller) -> dict[str, Any]:
    """Store the input file of a batch. It goes to the disk as it comes."""
    await asyncio.to_thread(_check_room, desk, caller)
    path = await asyncio.to_thread(desk.files.temporary, caller.tenant)
    try:
        with told_of_full_disk():
            upload = await _received(request, path, desk.max_file_bytes)
            expires_after = _checked_fields(upload.fields)
            file = await asyncio.to_thread(
                desk.files.add,
                caller.tenant,
                path,
                filename=upload.filename or "",
                purpose="batch",
                expires_after=expires_after,
            )
    finally:
        path.unlink(missing_ok=True)
    return file.view()


@router.get("", responses={**shown(page_of(A_FILE)), **errors(400, 401, 404)})
def list_files(
    desk: TheDesk,
    caller: TheCaller,
    purpose: Purpose | None = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 10_000,
    order: Literal["asc", "desc"] = "desc",
    after: str | None = None,
) -> dict[str, Any]:
    """The caller's files, in the order of their creation; `after`: the ID of the last one seen."""
    found = desk.files.listed(caller.tenant, after=after, is_newest_first=order == "desc")
    return page((file for file in found if purpose in (None, file.purpose)), limit)


@router.get("/{file_id}", responses={**shown(A_FILE), **errors(401, 404)})
def get_file(file_id: str, desk: TheDesk, caller: TheCaller) -> dict[str, Any]:
    """What is known of a file."""
    return _file(desk, caller, file_id).view()


@router.get(
    "/{file_id}/content",
    response_class=StreamingResponse,
    responses={**shown(FILE_LINE, CONTENT_TYPE), **errors(401, 404)},
)
def get_file_content(file_id: str, desk: TheDesk, caller: TheCaller) -> StreamingResponse:
    """What a file holds."""
    file = _file(desk, caller, file_id)
    try:
        opened = desk.files.content(caller.tenant, file_id).open("rb")
    except FileNotFoundError as error:
        raise _no_file(file_id) from error
    return StreamingResponse(
        _pieces(opened),
        media_type=CONTENT_TYPE,
        headers={"Content-Length": str(file.bytes)},
    )


@router.delete("/{file_id}", responses={**shown(DELETED), **errors(401, 404)})
def delete_file(file_id: str, desk: TheDesk, caller: TheCaller) -> dict[str, Any]:
    """Delete a file. A batch that was made with it goes on."""
    if not desk.files.delete(caller.tenant, file_id):
        raise _no_file(file_id)
    return {"id": file_id, "object": "file", "deleted": True}


async def _received(request: Request, path: Path, max_bytes: int) -> Upload:
    with path.open("wb") as target:
        upload = Upload(request.headers.get("content-type"), target, max_bytes)
        try:
            async for piece in request.stream():
                await asyncio.to_thread(upload.feed, piece)
        except ClientDisconnect as error:
            raise ApiError(400, "the upload broke off") from error
        upload.end()
    return upload


def _check_room(desk: Desk, caller: Caller) -> None:
    """Raises ApiError."""
    most = desk.limits.max_stored_bytes
    if sum(file.bytes for file in desk.files.listed(caller.tenant)) > most:
        message = f"there are more than {most} bytes of files, the most for a caller: delete some"
        raise ApiError(422, message, param="file", code="storage_used_up")


async def _pieces(file: BinaryIO) -> AsyncIterator[bytes]:
    with file:
        while piece := await asyncio.to_thread(file.read, _PIECE_BYTES):
            yield piece


def _file(desk: Desk, caller: Caller, file_id: str) -> StoredFile:
    file = desk.files.get(caller.tenant, file_id)
    if file is None:
        raise _no_file(file_id)
    return file


def _no_file(file_id: str) -> ApiError:
    return ApiError(404, f"there is no file {file_id[:80]}", param="file_id", code="file_not_found")


def _checked_fields(fields: dict[str, str]) -> ExpiresAfter | None:
    """Of an upload, beside the file. Raises ApiError."""
    purpose = fields.get("purpose")
    if purpose != "batch":
        given = "is missing" if purpose is None else f"{purpose[:80]!r} is not allowed"
        raise ApiError(400, f"purpose: {given}; it must be batch", param="purpose")
    expiry = {
        name: fields[f"expires_after[{name}]"]
        for name in ("anchor", "seconds")
        if f"expires_after[{name}]" in fields
    }
    if not expiry:
        return None
    try:
        return ExpiresAfter.model_validate(expiry)
    except ValidationError as error:
        name = str(error.errors()[0]["loc"][0])
        limit = ExpiresAfter.model_fields[name].description
        param = f"expires_after[{name}]"
        raise ApiError(400, f"{param}: must be {limit}", param=param) from error
