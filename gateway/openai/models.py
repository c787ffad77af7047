"""/v1/models: the one that is served."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from gateway.dependencies import TheCaller, TheServices
from gateway.errors import ApiError
from gateway.services import Services
from jobs.errors import brief

router = APIRouter(prefix="/v1/models", tags=["OpenAI"])


@router.get("")
async def list_models(services: TheServices, caller: TheCaller) -> dict[str, Any]:
    """The models that requests may name: the one that the gateway serves."""
    return {"object": "list", "data": [_model(services)]}


@router.get("/{name:path}")
async def get_model(name: str, services: TheServices, caller: TheCaller) -> dict[str, Any]:
    """A model by its name."""
    if name != services.served.model:
        text = f"the model {brief(name)} is not served here; {services.served.model!r} is"
        raise ApiError(404, text, param="model", code="model_not_found")
    return _model(services)


def _model(services: Services) -> dict[str, Any]:
    return {
        "id": services.served.model,
        "object": "model",
        "created": services.created,
        "owned_by": "rowmill",
    }
