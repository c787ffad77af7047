"""Whether the gateway is alive, and ready to serve."""

from __future__ import annotations

import logging

from fastapi import APIRouter
from pydantic import BaseModel

from gateway.dependencies import TheServices
from gateway.error_docs import errors, shown
from gateway.errors import ApiError
from jobs import LoginRefusedError, PermissionDeniedError, ServerUnavailableError

router = APIRouter(tags=["Health"])

log = logging.getLogger("rowmill.gateway")


class Health(BaseModel):
    status: str = "ok"


class Readiness(Health):
    workers: int
    """That live, of the gateway's own queue. Without one jobs are taken, and wait."""


@router.get("/healthz", summary="The process answers", responses=shown({"status": "ok"}))
async def healthz() -> Health:
    """For who starts the process again where it does not."""
    return Health()


@router.get(
    "/readyz",
    summary="The queue's server answers",
    responses={**shown({"status": "ok", "workers": 2}), **errors(503)},
)
async def readyz(services: TheServices) -> Readiness:
    """For who sends requests elsewhere meanwhile. Without workers it is ready: jobs wait."""
    try:
        workers = await services.client(services.config.queue).worker_models()
    except ServerUnavailableError as error:
        log.warning("not ready: %s", error)
        text = f"not ready: the queue's server {_reason(error)}"
        raise ApiError(503, text, kind="server_error", code="no_server", retry_after=5) from error
    return Readiness(workers=len(workers))


def _reason(error: ServerUnavailableError) -> str:
    """Everybody may ask, and need not know where the server is."""
    match error:
        case LoginRefusedError():
            return "refuses the login"
        case PermissionDeniedError():
            return "forbids this user what it needs"
        case _:
            return "can't be reached"
