"""What FastAPI hands to the functions that answer requests."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from gateway.caller import Caller
from gateway.services import Services

_BEARER = HTTPBearer(
    auto_error=False,
    scheme_name="ApiKey",
    description="A key that `rowmill gateway-key` made. A gateway without keys asks for none.",
)


# FastAPI runs what is not async on a thread, of which it has 40.
async def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


TheServices = Annotated[Services, Depends(_services)]


async def _caller(
    request: Request,
    services: TheServices,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)],
) -> Caller:
    """Who asks, by the API key. Raises ApiError (401) for none or an unknown one."""
    caller = services.caller(credentials.credentials if credentials else None)
    request.state.tenant = caller.tenant  # for the log
    return caller


TheCaller = Annotated[Caller, Depends(_caller)]
