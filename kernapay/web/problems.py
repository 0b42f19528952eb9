"""Answers to errors: RFC 9457 `application/problem+json`."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Annotated, Any, Final

import msgspec
import structlog
from litestar import Request, Response
from litestar.di import Provide
from litestar.exceptions import HTTPException, ValidationException
from litestar.handlers import HTTPRouteHandler
from litestar.types import ExceptionHandlersMap

from kernapay.core.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    KernaPayError,
    NotFound,
    RetryLater,
    TooLarge,
    TooManyRequests,
    Unauthenticated,
    UpstreamError,
)
from kernapay.core.text import show_controls_in_json
from kernapay.web.body_limits import BodyTooSlow, UnsupportedMediaType
from kernapay.web.field_errors import FieldError, field_error
from kernapay.web.headers import GUIDE_PATH
from kernapay.web.negotiation import NotAcceptable

MEDIA_TYPE: Final = "application/problem+json"
# The name that Litestar gives the body among a handler's parameters.
BODY: Final = "data"
_log = structlog.get_logger("kernapay.errors")
# By category. An error of no category is a bug of ours.
_STATUS: Final[Mapping[type[KernaPayError], HTTPStatus]] = {
    InvalidInput: HTTPStatus.BAD_REQUEST,
    Unauthenticated: HTTPStatus.UNAUTHORIZED,
    Forbidden: HTTPStatus.FORBIDDEN,
    NotFound: HTTPStatus.NOT_FOUND,
    NotAcceptable: HTTPStatus.NOT_ACCEPTABLE,
    BodyTooSlow: HTTPStatus.REQUEST_TIMEOUT,
    Conflict: HTTPStatus.CONFLICT,
    TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    UnsupportedMediaType: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    TooManyRequests: HTTPStatus.TOO_MANY_REQUESTS,
    RetryLater: HTTPStatus.SERVICE_UNAVAILABLE,
    UpstreamError: HTTPStatus.BAD_GATEWAY,
    KernaPayError: HTTPStatus.INTERNAL_SERVER_ERROR,
}
# Litestar's errors get the codes and titles of ours: the names of HTTPStatus differ between Python versions.
_NAMED: Final = {_STATUS[error]: error for error in (InvalidInput, NotFound, TooLarge)}


class Problem(msgspec.Struct, frozen=True, rename="camel"):
    """An error, as RFC 9457 describes it. `code` is stable and meant for programs."""

    type: Annotated[str, msgspec.Meta(examples=["urn:kernapay:problem:invalid_input"])]
    title: Annotated[str, msgspec.Meta(examples=["Invalid input"])]
    status: Annotated[int, msgspec.Meta(examples=[400])]
    detail: Annotated[str, msgspec.Meta(examples=["amount: Must be at least 1."])]
    code: Annotated[str, msgspec.Meta(examples=["invalid_input"])]
    errors: list[FieldError] = []
    request_id: Annotated[str, msgspec.Meta(examples=["9f86d081884c7d65"])] | None = None
    help: Annotated[str, msgspec.Meta(examples=["/guide/errors#invalid_input"])] | None = None
    """The place in the guide that says what to do, relative to the address of the service."""


def status_of(error: type[KernaPayError]) -> int:
    """Return the HTTP status of the nearest category that the error derives from."""
    return next(int(_STATUS[category]) for category in error.__mro__ if category in _STATUS)


def type_of(code: str) -> str:
    return f"urn:kernapay:problem:{code}"


def help_of(code: str) -> str:
    """Return the link to the guide's section about an error."""
    return f"{GUIDE_PATH}/errors#{code}"


def response(
    request: Request[Any, Any, Any],
    *,
    status: int,
    code: str,
    title: str,
    detail: str,
    errors: Iterable[FieldError] = (),
    headers: dict[str, str] | None = None,
) -> Response[bytes]:
    problem = Problem(
        type=type_of(code),
        title=title,
        status=status,
        detail=detail,
        code=code,
        errors=list(errors),
        request_id=request.scope.get("state", {}).get("request_id"),
        help=help_of(code),
    )
    return Response(
        show_controls_in_json(msgspec.json.encode(problem)),
        status_code=status,
        media_type=MEDIA_TYPE,
        headers=headers,
    )


def on_kernapay_error(request: Request[Any, Any, Any], error: KernaPayError) -> Response[bytes]:
    status = status_of(type(error))
    headers = {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="kernapay"'
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        cause = error.__cause__
        _log.warning(
            "request_failed", code=error.code, cause=type(cause).__name__ if cause else None
        )
    return response(
        request,
        status=status,
        code=error.code,
        title=error.title,
        detail=error.detail,
        errors=[FieldError(error.field, error.detail)] if error.field else (),
        headers=headers,
    )


def on_http_exception(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """Answer Litestar's own errors. Their texts for 5xx are not shown: they may name internals."""
    status = HTTPStatus(error.status_code)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return on_bug(request, error)
    errors: list[FieldError] = []
    detail = error.detail or status.description or status.phrase
    if isinstance(error, ValidationException) and isinstance(error.extra, list):
        errors = [_invalid(request, item) for item in error.extra if isinstance(item, dict)]
        detail = "; ".join(f"{item.field}: {item.message}" for item in errors) or "Invalid input."
    elif status == HTTPStatus.BAD_REQUEST and isinstance(error.__cause__, KeyError):
        # A parameter is missing. Litestar's own sentence contains the whole path.
        errors = [FieldError(str(error.__cause__.args[0]), "Required.")]
        detail = f"{errors[0].field}: Required."
    elif status == HTTPStatus.BAD_REQUEST and error.__cause__ is not None:
        errors = [FieldError("body", "Must be valid JSON.")]
        detail = "body: Must be valid JSON."
    elif status == HTTPStatus.NOT_FOUND:
        detail = "There is no such path. See /docs for the API."
    ours = _NAMED.get(status)
    return response(
        request,
        status=status,
        code=ours.code if ours else status.name.lower(),
        title=ours.title if ours else status.phrase,
        detail=detail,
        errors=errors,
        headers=dict(error.headers or {}),
    )


def _invalid(request: Request[Any, Any, Any], item: dict[str, Any]) -> FieldError:
    """Describe one of Litestar's validation errors.

    `key` is the parameter of the handler, or of what it depends on, `message` the decoder's.
    """
    handler = request.route_handler
    key = str(item.get("key", ""))
    message = str(item.get("message", ""))
    owners: list[HTTPRouteHandler | Provide] = [handler, *handler.resolve_dependencies().values()]
    owner = next((each for each in owners if key in each.parsed_fn_signature.parameters), handler)
    kind = owner.signature_model.__annotations__.get(key, Any)
    if key == BODY:
        return field_error(message, kind)
    # A header or a query parameter may have another name than the function's parameter.
    parameter = owner.parsed_fn_signature.parameters.get(key)
    name = getattr(parameter and parameter.kwarg_definition, "name", None) or key
    return field_error(message, kind, name)


def on_bug(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Answer 500 to an unforeseen exception: the log gets the traceback, the client the request id."""
    _log.error("unhandled_error", error=type(error).__name__, exc_info=error)
    return response(
        request,
        status=500,
        code="internal_error",
        title="Internal error",
        detail="The service failed. Name the request id when you report it.",
    )


HANDLERS: Final[ExceptionHandlersMap] = {
    KernaPayError: on_kernapay_error,
    HTTPException: on_http_exception,
    Exception: on_bug,
}
