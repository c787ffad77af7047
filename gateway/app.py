"""The application: its routes, its errors, and what lives as long as it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from fastapi import FastAPI

from gateway import health
from gateway.config import GatewayConfig
from gateway.errors import ApiError, answer_api_error
from gateway.services import Services
from jobs import JobsError

_ROUTERS = (health.router,)


def create_app(config: GatewayConfig) -> FastAPI:
    """Raises TokenizerError where the model has none that can be read."""
    services = Services(config)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await services.close()

    app = FastAPI(title="Rowmill", lifespan=lifespan)
    app.state.services = services
    for router in _ROUTERS:
        app.include_router(router)
    app.add_exception_handler(ApiError, answer_api_error)
    app.add_exception_handler(JobsError, answer_api_error)
    return app
