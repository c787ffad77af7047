"""The application: its routes, its errors, and what lives as long as it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from gateway import health, overview
from gateway.allowed_hosts import AllowedHosts
from gateway.answers import answer_errors
from gateway.batches import batch_routes, file_routes
from gateway.batches.desk import open_desk
from gateway.batches.upload import MAX_OVERHEAD_BYTES
from gateway.body_limit import BodyLimit
from gateway.config import GatewayConfig
from gateway.native import routes as native
from gateway.openai import routes as openai
from gateway.openapi import document_routes
from gateway.page import page_router
from gateway.request_log import HEADER, RequestLog
from gateway.request_meter import RequestMeter
from gateway.services import Services

_ROUTERS = (
    openai.router,
    native.router,
    file_routes.router,
    batch_routes.router,
    health.router,
    overview.router,
)
_FILES = "/v1/files"
_PREFLIGHT_SECONDS = 3600


def create_app(config: GatewayConfig) -> FastAPI:
    """Raises TokenizerError where the model has none that can be read, and GatewayConfigError."""
    services = Services(config)
    desk = open_desk(services)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with desk.running() if desk else contextlib.nullcontext():
            yield
        await services.close()

    # The pages that show a document's routes load scripts from elsewhere.
    app = FastAPI(title="Rowmill", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.services = services
    app.state.desk = desk
    for router in _ROUTERS:
        app.include_router(router)
    app.include_router(page_router())
    answer_errors(app)
    document_routes(app)
    _surround(app, config)
    return app


def _surround(app: FastAPI, config: GatewayConfig) -> None:
    """With what sees a request before its route does; the last is the first to see it."""
    app.add_middleware(
        BodyLimit,
        max_bytes=config.max_body_bytes,
        seconds=config.body_seconds,
        max_bytes_at={_FILES: config.max_file_bytes + MAX_OVERHEAD_BYTES},
    )
    if config.allowed_hosts:
        app.add_middleware(AllowedHosts, names=config.allowed_hosts, origins=config.allowed_origins)
    app.add_middleware(RequestLog)
    app.add_middleware(RequestMeter, metrics=app.state.services.metrics)
    if config.allowed_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=config.allowed_origins,
            allow_methods=("GET", "POST", "DELETE"),
            allow_headers=("Authorization", "Content-Type", "Idempotency-Key", HEADER),
            expose_headers=(HEADER, "Retry-After"),
            max_age=_PREFLIGHT_SECONDS,
        )
