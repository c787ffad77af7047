"""The paths of OpenAI's API."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from gateway.dependencies import TheCaller, TheServices
from gateway.error_docs import errors
from gateway.openai import models
from gateway.openai.chat_format import ChatFormat
from gateway.openai.chat_request import ChatRequest, read_chat
from gateway.openai.completion_format import CompletionFormat
from gateway.openai.completion_request import CompletionRequest, read_completion
from gateway.openai.examples import CHAT_ANSWER, COMPLETION_ANSWER
from gateway.openai.request_schema import request_body
from gateway.openai.respond import respond

_ERRORS = errors(400, 401, 404, 409, 413, 415, 429, 500, 503)

router = APIRouter()
router.include_router(models.router)


@router.post(
    "/v1/completions",
    tags=["OpenAI"],
    response_model=None,
    responses=_ERRORS,
    openapi_extra=request_body(CompletionRequest, COMPLETION_ANSWER),
)
async def create_completion(request: Request, services: TheServices, caller: TheCaller) -> Response:
    """Sample what follows one or several prompts."""
    return await respond(request, services, caller, read_completion, CompletionFormat)


@router.post(
    "/v1/chat/completions",
    tags=["OpenAI"],
    response_model=None,
    responses=_ERRORS,
    openapi_extra=request_body(ChatRequest, CHAT_ANSWER),
)
async def create_chat_completion(
    request: Request, services: TheServices, caller: TheCaller
) -> Response:
    """Sample the next message of a conversation, where the model has a chat format."""
    return await respond(request, services, caller, read_chat, ChatFormat)
