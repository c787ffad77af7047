"""What FastAPI hands to the routes of files and batches."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from gateway.batches.desk import Desk
from gateway.errors import ApiError


async def _desk(request: Request) -> Desk:
    """Raises ApiError (404) where the gateway has no folder for them."""
    desk: Desk | None = request.app.state.desk
    if desk is None:
        message = "this gateway keeps no files and batches; it was started without --batch-folder"
        raise ApiError(404, message, code="no_batches")
    return desk


TheDesk = Annotated[Desk, Depends(_desk)]
