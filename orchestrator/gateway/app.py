"""The Messages API over HTTP: parses requests, has them answered, and speaks the API's words."""

import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from orchestrator.gateway.callers import session_of
from orchestrator.gateway.errors import ApiError
from orchestrator.gateway.seam import ApiEvent, Call, Source
from orchestrator.gateway.wire import collect, to_sse


def build_app(source: Source, prefix: str) -> Starlette:
    """An app that answers from `source` below the path `prefix`, as `/a-secret`, and nowhere else."""
    routes = [
        Route(f"{prefix}/v1/messages", _answering(source, _message), methods=["POST"]),
        Route(f"{prefix}/v1/messages/count_tokens", _answering(source, _count), methods=["POST"]),
        Route(f"{prefix}/v1/models", _answering(source, _models), methods=["GET"]),
        Route(f"{prefix}/v1/models/{{id:path}}", _answering(source, _model), methods=["GET"]),
        Route(prefix, _answering(source, _root), methods=["HEAD"]),
        Route(f"{prefix}/", _answering(source, _root), methods=["HEAD"]),
    ]
    app = Starlette(routes=routes, exception_handlers={HTTPException: _not_served})
    app.router.redirect_slashes = False
    return app


Handler = Callable[[Source, Request, str], Awaitable[Response]]


def _answering(source: Source, handle: Handler) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        request_id = _new_id()
        try:
            return await handle(source, request, request_id)
        except ApiError as error:
            return _refusal(error, request_id)
        except Exception as error:  # a fault of ours reaches the agent as the API's 500, never as a broken stream
            return _refusal(ApiError(500, f"the gateway failed: {error!r}"), request_id)

    return answer


async def _not_served(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _refusal(ApiError(error.status_code), _new_id())


def _refusal(error: ApiError, request_id: str) -> Response:
    return JSONResponse(error.body(request_id), error.status, error.headers(request_id))


def _new_id() -> str:
    return f"req_{uuid.uuid4().hex[:24]}"


async def _message(source: Source, request: Request, request_id: str) -> Response:
    call = await _parse(request, required=("model", "messages", "max_tokens"))
    events = await source.answer(call)
    headers = {"request-id": request_id}
    if not call.body.get("stream"):
        return JSONResponse(await collect(events), headers=headers)
    headers["cache-control"] = "no-cache"
    return StreamingResponse(_as_sse(events, request_id), media_type="text/event-stream", headers=headers)


async def _as_sse(events: AsyncIterator[ApiEvent], request_id: str) -> AsyncIterator[str]:
    try:
        async for event in events:
            yield to_sse(event)
    except Exception as error:  # the status is gone: from here on the API says what is wrong by an event
        failure = error if isinstance(error, ApiError) else ApiError(500, f"the gateway failed: {error!r}")
        yield to_sse(failure.body(request_id))


async def _count(source: Source, request: Request, request_id: str) -> Response:
    call = await _parse(request, required=("model", "messages"))
    return JSONResponse({"input_tokens": await source.count(call)}, headers={"request-id": request_id})


async def _models(source: Source, request: Request, request_id: str) -> Response:
    models = list(await source.models())
    ends = {"first_id": models[0]["id"], "last_id": models[-1]["id"]} if models else {"first_id": None, "last_id": None}
    return JSONResponse({"data": models, "has_more": False, **ends}, headers={"request-id": request_id})


async def _model(source: Source, request: Request, request_id: str) -> Response:
    wanted = request.path_params["id"]
    for model in await source.models():
        if model["id"] == wanted:
            return JSONResponse(dict(model), headers={"request-id": request_id})
    raise ApiError(404, f"model: {wanted}")


async def _root(source: Source, request: Request, request_id: str) -> Response:
    return Response(headers={"request-id": request_id})


async def _parse(request: Request, *, required: tuple[str, ...]) -> Call:
    try:
        body = json.loads(await request.body())
    except ValueError as error:
        raise ApiError(400, f"The request body is not valid JSON: {error}") from None
    if not isinstance(body, dict):
        raise ApiError(400, f"The request body is not a JSON object: {type(body).__name__}")
    for name in required:
        if name not in body:
            raise ApiError(400, f"{name}: Field required")
    if not isinstance(body["model"], str):
        raise ApiError(400, "model: Input should be a valid string")
    if not isinstance(most := body.get("max_tokens", 1), int) or most < 1:
        raise ApiError(400, "max_tokens: Input should be a whole number from 1")
    _check_messages(body["messages"])
    headers = dict(request.headers)
    return Call(body, session_of(headers, body), headers)


def _check_messages(messages: Any) -> None:
    if not isinstance(messages, list) or not messages:
        raise ApiError(400, "messages: at least one message is required")
    for index, message in enumerate(messages):
        if not isinstance(message, dict) or message.get("role") not in ("user", "assistant", "system"):
            raise ApiError(400, f"messages.{index}.role: Input should be 'user' or 'assistant'")
        content = message.get("content")
        if not isinstance(content, str) and not (
            isinstance(content, list) and all(isinstance(block, dict) and "type" in block for block in content)
        ):
            raise ApiError(400, f"messages.{index}.content: Input should be a valid string or list of blocks")
