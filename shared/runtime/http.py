"""The HTTP edge of every service: problem details (RFC 9457), limits, tokens, health, metrics."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import cache
from types import MappingProxyType
from typing import Annotated, Any

import orjson
from fastapi import Depends, FastAPI, Header, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.telemetry import TelemetryConfig
from fastapi_offline import FastAPIOffline
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, ValidationError
from pymongo.errors import PyMongoError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as AsgiScope

from shared.contracts import asyncapi
from shared.kernel.errors import Fault, Kind, ServiceError
from shared.runtime import cities, metrics, tracing
from shared.runtime.auth import Forbidden, Holder, Scope, Tokens, Unauthorized
from shared.runtime.logs import logger
from shared.runtime.mongo import is_unavailable, unavailable
from shared.runtime.settings import Settings

BODY_MAX_BYTES = 65_536
"""Body of a single command: the largest legal one (168 spans, 64 skills) is about 20 kB."""

BULK_BODY_MAX_BYTES = 4 * 1024 * 1024
"""Body of a bulk command: 1,000 rows of up to 4 kB."""

FIELD_MAX = 100
"""Characters of a field path; a longer one is not ours, but a client's own text."""

FAULTS_MAX = 50
"""Faults named in one problem; more help nobody."""

PROBLEM_JSON = "application/problem+json"

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Methods that metrics know; a client can send any word, and a label is no place for it."""

PROBES = frozenset({"/health/live", "/health/ready", "/metrics"})
"""What machines ask every few seconds. Neither traced nor among the answers that metrics count: while a service starts,
"not yet" is a 503 and no error, and where people ask little, probes would be most of the answers."""

CLIENT_GONE = 499
"""Status in the metrics of a request whose client went away before its end; nobody is answered."""

NO_TELEMETRY: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
"""FastAPI's own would record paths and the messages of errors, both of which may be personal; ours is `tracing`."""

DOCS_FILES = "/docs/files"
"""Where the page of the routes has its scripts from: this service, since an operator's network may reach no other."""

PLACES_MAX = 8
"""Frames that are logged of an unexpected error: from the route inwards."""

STATUS: dict[Kind, int] = {
    "invalid": 422,
    "unknown": 404,
    "conflict": 409,
    "gone": 410,
    "forbidden": 403,
    "too-large": 413,
    "unavailable": 503,
}

_log = logger(__name__)


class Problem(BaseModel):
    """RFC 9457 problem details. `type` is `urn:mamapost:problem:<code>`; `errors` name the fields at fault."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    retryable: bool
    errors: list[dict[str, str]] = []


def _documented(description: str) -> dict[str, Any]:
    """Problem details as OpenAPI tells of them; a `model` would be told as `application/json`."""
    return {"content": {PROBLEM_JSON: {"schema": Problem.model_json_schema()}}, "description": description}


PROBLEMS: dict[int | str, dict[str, Any]] = {
    "4XX": _documented("Problem details that name the field."),
    "503": _documented("The database is gone for now; retry with the same Idempotency-Key."),
}


def create_app(
    service: str,
    description: str,
    settings: Settings,
    lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]],
    ready: Callable[[], Awaitable[dict[str, str]]],
    body_max_bytes: Mapping[str, int] = MappingProxyType({}),
) -> FastAPI:
    """A service's FastAPI app; routes are added by its composition root.

    Args:
        ready: state of each part, e.g. `{"store": "up", "bus": "starting"}`; ready when no part is `starting` or `down`
            (a part that may be away for a while without harm says `away`). Called at each probe.
        body_max_bytes: limits of paths that take more than a single command, by the last part of the path.
    """
    app = FastAPIOffline(
        docs_url="/docs",
        redoc_url=None,  # its page fetches a logo from the internet
        static_url=DOCS_FILES,
        swagger_ui_parameters={"validatorUrl": None},  # or it tells a stranger's server where this service is
        title=f"mamapost {service}",
        description=description,
        version="1",
        lifespan=lifespan,
        telemetry=NO_TELEMETRY,
        responses=PROBLEMS,
        separate_input_output_schemas=False,
    )
    app.state.tokens = Tokens(settings.tokens_file, host=settings.host)
    # Set by the server before it waits for its connections (mamapost.cli), so that streams can end by themselves.
    app.state.stopping = asyncio.Event()
    app.add_middleware(_Edge, body_max_bytes={"bulk": BULK_BODY_MAX_BYTES, **body_max_bytes})
    _add_problem_handlers(app)

    @app.get("/health/live", tags=["health"])
    async def live() -> dict[str, str]:
        """The process answers."""
        return {"status": "live"}

    @app.get("/health/ready", tags=["health"])
    async def is_ready(response: Response) -> dict[str, str]:
        """The parts that a request needs are there; a broker that went away after the start only delays events."""
        parts = await ready()
        if any(state in ("starting", "down") for state in parts.values()):
            response.status_code = 503
        return parts

    @app.get("/asyncapi.json", tags=["contracts"], response_class=Response)
    def events() -> Response:
        """AsyncAPI 3.0 of the events of all services."""
        return Response(_asyncapi(), media_type="application/vnd.aai.asyncapi+json;version=3.0.0")

    @app.get("/metrics", tags=["health"], response_class=Response)
    async def prometheus() -> Response:
        """Metrics for Prometheus."""
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return app


@cache
def _asyncapi() -> bytes:
    """Made when it is first asked for, in a thread of its own: it takes most of a second."""
    return orjson.dumps(asyncapi.document())


def needs(scope: Scope) -> Any:
    """Dependency that lets a request pass only with a token of the scope, and for the cities that the request names:
    `dependencies=[needs("write")]`. `request.state.holder` is the token's holder from then on."""

    async def check(
        request: Request, authorization: Annotated[str | None, Header(include_in_schema=False)] = None
    ) -> Holder:
        tokens: Tokens = request.app.state.tokens
        holder = tokens.holder(authorization)
        if scope not in holder.scopes:
            raise Forbidden(f"this needs a token with the scope `{scope}`")
        await cities.check(request, holder)
        request.state.holder = holder
        return holder

    return Depends(check)


def problem(error: ServiceError) -> JSONResponse:
    """A service's error as problem details."""
    status = 401 if isinstance(error, Unauthorized) else STATUS[error.kind]
    response = _code_problem(status, error.code, str(error), error.faults, error.retryable)
    if error.retryable:
        response.headers["Retry-After"] = "1"
    if status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def faults_of(error: ValidationError | RequestValidationError, *, skip: int = 0) -> list[Fault]:
    """Field paths and expectations of a pydantic error, without the offending values (which may be personal).

    Args:
        skip: leading path parts to leave out, such as FastAPI's `body`.
    """
    faults: list[Fault] = []
    for item in error.errors():
        # The location of malformed JSON is an offset in the text, which is no field.
        path = "body" if item["type"] == "json_invalid" else ".".join(str(p) for p in item["loc"][skip:]) or "body"
        faults.append(Fault(path if len(path) <= FIELD_MAX else f"{path[:FIELD_MAX]}…", _expected(item)))
    return faults


def _expected(item: Any) -> str:
    """pydantic's message, unless it could repeat input; custom ValueErrors are ours and name no value."""
    kind = str(item["type"])
    if kind == "json_invalid":
        return "a JSON object in UTF-8"
    if kind in ("missing", "extra_forbidden"):
        return "to be given" if kind == "missing" else "no such field"
    if kind == "union_tag_invalid":
        return f"{item['ctx']['discriminator']} as one of {item['ctx']['expected_tags']}"
    message = str(item["msg"])
    return message.removeprefix("Value error, ").removeprefix("Input should be ").removeprefix("Assertion failed, ")


def _code_problem(
    status: int, code: str, detail: str, faults: Sequence[Fault], retryable: bool = False
) -> JSONResponse:
    body = Problem(
        type=f"urn:mamapost:problem:{code}",
        title=code.replace("-", " "),
        status=status,
        detail=detail,
        code=code,
        retryable=retryable,
        errors=[{"field": fault.field, "expected": fault.expected} for fault in faults[:FAULTS_MAX]],
    )
    return JSONResponse(body.model_dump(), status, media_type=PROBLEM_JSON)


def _add_problem_handlers(app: FastAPI) -> None:
    @app.exception_handler(ServiceError)
    async def _service(_request: Request, error: ServiceError) -> JSONResponse:
        return problem(error)

    @app.exception_handler(RequestValidationError)
    async def _invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        return _code_problem(422, "invalid", "the request does not have the expected form", faults_of(error, skip=1))

    @app.exception_handler(HTTPException)
    async def _http(_request: Request, error: HTTPException) -> JSONResponse:
        code = {404: "no-such-route", 405: "method-not-allowed"}.get(error.status_code, "malformed")
        return _code_problem(error.status_code, code, str(error.detail), [])

    @app.exception_handler(PyMongoError)
    async def _store(_request: Request, error: PyMongoError) -> JSONResponse:
        if is_unavailable(error):
            return problem(unavailable(error))
        _log.error("unexpected store error", error=type(error).__name__)
        return _code_problem(500, "internal", "an unexpected error; it was logged", [])


class _BodyTooLarge(ServiceError):
    code = "body-too-large"
    kind = "too-large"


class _Edge:
    """Body limit while the body streams in, and RED metrics by route template; one pass over each request."""

    def __init__(self, app: ASGIApp, body_max_bytes: Mapping[str, int]) -> None:
        self._app = app
        self._body_max_bytes = body_max_bytes

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        spans = tracing.spans()
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif spans is None or scope["path"] in PROBES:
            await self._serve(scope, receive, send)
        else:
            method = _method_of(scope)
            parent = next((value for name, value in scope["headers"] if name == b"traceparent"), b"")
            with spans.request(method, parent.decode("latin-1")) as span:
                route, status = await self._serve(scope, receive, send)
                spans.answered(span, method, route, status)

    async def _serve(self, scope: AsgiScope, receive: Receive, send: Send) -> tuple[str, int]:
        """Answer a request. Returns the route's template and the status."""
        limit = self._body_max_bytes.get(scope["path"].rpartition("/")[2], BODY_MAX_BYTES)
        declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        started = time.perf_counter()
        status, is_answered = 500, False

        async def count(message: Message) -> None:
            nonlocal status, is_answered
            if message["type"] == "http.response.start":
                status, is_answered = message["status"], True
            await send(message)

        try:
            # More than 18 digits are too many whatever they say, and very many are no number to Python.
            if declared.isdigit() and (len(declared) > 18 or int(declared) > limit):
                raise _too_large(limit)
            body = await _read(receive, limit)
            await self._app(scope, _replay(body, receive), count)
        except _BodyTooLarge as error:
            await problem(error)(scope, receive, count)
        except ClientDisconnect:
            status = CLIENT_GONE
        except Exception as error:  # the outermost place: nothing above answers in our form
            # Without its message, which may repeat what was sent (promise 4).
            _log.error("unexpected error", error=type(error).__name__, at=_places(error))
            if is_answered:
                raise
            await _code_problem(500, "internal", "an unexpected error; it was logged", [])(scope, receive, count)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            if scope["path"] not in PROBES:
                method = _method_of(scope)
                metrics.HTTP_REQUESTS.labels(method, route, str(status)).inc()
                metrics.HTTP_SECONDS.labels(method, route).observe(time.perf_counter() - started)
        return route, status


def _method_of(scope: AsgiScope) -> str:
    return scope["method"] if scope["method"] in METHODS else "other"


def _too_large(limit: int) -> _BodyTooLarge:
    return _BodyTooLarge("the body is too large", Fault("body", f"at most {limit} bytes"))


def _places(error: Exception) -> list[str]:
    """Where an error came from, innermost last."""
    frames = traceback.extract_tb(error.__traceback__)[-PLACES_MAX:]
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]


async def _read(receive: Receive, limit: int) -> bytes:
    """The whole body.

    Raises:
        _BodyTooLarge: as soon as it is.
        ClientDisconnect: the client went away before its end; half a command is none.
    """
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if len(body) > limit:
            raise _too_large(limit)
        if not message.get("more_body"):
            return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    """The whole body as one message, then whatever the client sends (a disconnect)."""
    given = False

    async def next_message() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return next_message
