"""What FastAPI hands to the functions that answer requests."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from gateway.caller import Caller
from gateway.services import Services


def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


async def _caller(request: Request) -> Caller:
    """Who asks, by the API key. Raises ApiError (401) for none or an unknown one."""
    return Caller(queue=_services(request).config.queue)


TheServices = Annotated[Services, Depends(_services)]
TheCaller = Annotated[Caller, Depends(_caller)]
