"""/v1/batches: many requests at once, answered within a day."""

from __future__ import annotations

import time
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from gateway.batches.batch import Batch, Endpoint
from gateway.batches.dependencies import TheDesk
from gateway.batches.desk import Desk
from gateway.batches.disk import told_of_full_disk
from gateway.batches.examples import A_BATCH, NEW_BATCH, page_of
from gateway.batches.expires_after import ExpiresAfter
from gateway.batches.identifiers import BATCH, new_id
from gateway.batches.paging import page
from gateway.caller import Caller
from gateway.dependencies import TheCaller
from gateway.error_docs import errors, shown
from gateway.errors import ApiError

router = APIRouter(prefix="/v1/batches", tags=["files and batches"])

_CANCELLABLE = ("validating", "in_progress", "cancelling")
_RETRY_SECONDS = 60
_MetadataKey = Annotated[str, Field(min_length=1, max_length=64)]
_MetadataValue = Annotated[str, Field(max_length=512)]


class NewBatch(BaseModel):
    """A batch to be made."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [NEW_BATCH]})

    input_file_id: str = Field(description="An uploaded file with the purpose batch.")
    endpoint: Endpoint = Field(description="Of all lines of the file.")
    completion_window: Literal["24h"]
    metadata: Annotated[dict[_MetadataKey, _MetadataValue], Field(max_length=16)] | None = None
    output_expires_after: ExpiresAfter | None = None


@router.post("", responses={**shown(A_BATCH), **errors(400, 401, 404, 413, 429)})
def create_batch(new: NewBatch, desk: TheDesk, caller: TheCaller) -> dict[str, Any]:
    """Have the requests of a file answered."""
    with desk.batches.counted(caller.tenant) as num_active:
        _check_input(desk, caller, new.input_file_id)
        if num_active >= desk.limits.max_active:
            most = desk.limits.max_active
            raise ApiError(
                429,
                f"{num_active} batches have not ended, and a caller may have {most} at once",
                kind="rate_limit_error",
                code="too_many_batches",
                retry_after=_RETRY_SECONDS,
            )
        batch = _batch(new, caller, desk.limits.window_seconds)
        try:
            with told_of_full_disk():
                desk.batches.add(batch, desk.files.content(caller.tenant, new.input_file_id))
        except FileNotFoundError as error:
            raise _no_input(new.input_file_id) from error
    desk.wake()
    return batch.view()


@router.get("", responses={**shown(page_of(A_BATCH)), **errors(400, 401, 404)})
def list_batches(
    desk: TheDesk,
    caller: TheCaller,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    after: str | None = None,
) -> dict[str, Any]:
    """The caller's batches, the newest first; `after`: the ID of the last one seen."""
    return page(desk.batches.listed(caller.tenant, after=after), limit)


@router.get("/{batch_id}", responses={**shown(A_BATCH), **errors(401, 404)})
def get_batch(batch_id: str, desk: TheDesk, caller: TheCaller) -> dict[str, Any]:
    """Where a batch stands."""
    return _found(desk, caller, batch_id).view()


@router.post("/{batch_id}/cancel", responses={**shown(A_BATCH), **errors(401, 404, 409)})
def cancel_batch(batch_id: str, desk: TheDesk, caller: TheCaller) -> dict[str, Any]:
    """Have no more of a batch run. What is done will be in its output file."""
    batch = _found(desk, caller, batch_id)
    if batch.status not in _CANCELLABLE:
        message = f"batch {batch_id} is {batch.status}: it can't be cancelled"
        raise ApiError(409, message, param="batch_id", code="batch_not_cancellable")
    desk.batches.folder(caller.tenant, batch_id).cancel()
    desk.wake()
    return _found(desk, caller, batch_id).view()


def _found(desk: Desk, caller: Caller, batch_id: str) -> Batch:
    batch = desk.batches.get(caller.tenant, batch_id)
    if batch is None:
        message = f"there is no batch {batch_id[:80]}"
        raise ApiError(404, message, param="batch_id", code="batch_not_found")
    return batch


def _batch(new: NewBatch, caller: Caller, window_seconds: float) -> Batch:
    now = time.time()
    return Batch(
        id=new_id(BATCH),
        created_at=int(now),
        expires_at=int(now + window_seconds),
        deadline=now + window_seconds,
        tenant=caller.tenant,
        queue=caller.queue,
        **new.model_dump(exclude={"output_expires_after"}),
        output_expires_after=new.output_expires_after,
    )


def _check_input(desk: Desk, caller: Caller, file_id: str) -> None:
    """Raises ApiError."""
    file = desk.files.get(caller.tenant, file_id)
    if file is None:
        raise _no_input(file_id)
    if file.purpose != "batch":
        message = f"input_file_id: {file_id} is of the purpose {file.purpose}; it must be of batch"
        raise ApiError(400, message, param="input_file_id")


def _no_input(file_id: str) -> ApiError:
    message = f"input_file_id: there is no file {file_id[:80]}"
    return ApiError(404, message, param="input_file_id", code="file_not_found")
