"""/v1/models: the one that is served."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from gateway.caller import Caller
from gateway.dependencies import TheCaller, TheServices
from gateway.error_docs import errors, shown
from gateway.errors import ApiError
from gateway.openai.examples import A_MODEL
from gateway.services import Services
from jobs.errors import brief

router = APIRouter(prefix="/v1/models", tags=["OpenAI"])


_LIST = {"object": "list", "data": [A_MODEL]}


@router.get("", responses={**shown(_LIST), **errors(401, 503)})
async def list_models(services: TheServices, caller: TheCaller) -> dict[str, Any]:
    """The models that requests may name: the one that the gateway serves."""
    return {"object": "list", "data": [await _model(services, caller)]}


@router.get("/{name:path}", responses={**shown(A_MODEL), **errors(401, 404, 503)})
async def get_model(name: str, services: TheServices, caller: TheCaller) -> dict[str, Any]:
    """A model by its name."""
    if name != services.served.model:
        text = f"the model {brief(name)} is not served here; {services.served.model!r} is"
        raise ApiError(404, text, param="model", code="model_not_found")
    return await _model(services, caller)


async def _model(services: Services, caller: Caller) -> dict[str, Any]:
    """`max_model_len`, as in vLLM: most tokens of prompt and row, where the workers tell it."""
    cards = await services.workers.cards(caller.queue)
    lengths = [card.context_length for card in cards if card.context_length is not None]
    return {
        "id": services.served.model,
        "object": "model",
        "created": services.created,
        "owned_by": "rowmill",
        "max_model_len": max(lengths, default=None),
    }
