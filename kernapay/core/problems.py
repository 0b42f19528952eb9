"""Errors as RFC 9457 `application/problem+json`."""

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.types import ExceptionHandlersMap

from kernapay.core.errors import KernaPayError

MEDIA_TYPE: Final = "application/problem+json"
_log = structlog.get_logger("kernapay.errors")
_UNKNOWN_FIELD: Final = re.compile(r"unknown field `([^`]*)`")
_MISSING_FIELD: Final = re.compile(r"missing required field `([^`]*)`")
_PATH: Final = re.compile(r" - at `(?:key in )?\$\.?([^`]*)`")


class FieldError(msgspec.Struct, frozen=True):
    """One thing wrong with one field."""

    field: str
    message: str


class Problem(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What went wrong, as RFC 9457 describes it. `code` is stable and meant for programs."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[FieldError] = []
    request_id: str | None = None


def field_error(message: str, key: str = "") -> FieldError:
    """Turn the decoder's sentence into the field it speaks of and the rest."""
    path = _PATH.search(message)
    parts = [key] if key else []
    if path and path[1]:
        parts = [path[1]]
    for pattern, text in ((_UNKNOWN_FIELD, "Unknown field."), (_MISSING_FIELD, "Field required.")):
        if found := pattern.search(message):
            return FieldError(".".join([*parts, found[1]]), text)
    return FieldError(".".join(parts) or "body", _PATH.sub("", message))


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
        type=f"urn:kernapay:problem:{code}",
        title=title,
        status=status,
        detail=detail,
        code=code,
        errors=list(errors),
        request_id=request.scope.get("state", {}).get("request_id"),
    )
    return Response(
        msgspec.json.encode(problem), status_code=status, media_type=MEDIA_TYPE, headers=headers
    )


def on_kernapay_error(request: Request[Any, Any, Any], error: KernaPayError) -> Response[bytes]:
    headers = {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="kernapay"'
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        cause = error.__cause__
        _log.warning(
            "request_failed", code=error.code, cause=type(cause).__name__ if cause else None
        )
    return response(
        request,
        status=error.status,
        code=error.code,
        title=error.title,
        detail=error.detail,
        errors=[FieldError(error.field, error.detail)] if error.field else (),
        headers=headers,
    )


def on_http_exception(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """Render the framework's own errors; its texts for 5xx stay inside."""
    status = HTTPStatus(error.status_code)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return on_bug(request, error)
    errors: list[FieldError] = []
    detail = error.detail or status.description or status.phrase
    if isinstance(error, ValidationException) and isinstance(error.extra, list):
        errors = [
            field_error(str(item.get("message", "")), str(item.get("key", "")))
            for item in error.extra
            if isinstance(item, dict)
        ]
        detail = "; ".join(f"{item.field}: {item.message}" for item in errors) or "Invalid input."
    elif status == HTTPStatus.BAD_REQUEST and error.__cause__ is not None:
        errors = [field_error(str(error.__cause__))]
        detail = "The body is not valid JSON of the expected form."
    elif status == HTTPStatus.NOT_FOUND:
        detail = "There is nothing at this address."
    return response(
        request,
        status=status,
        code="invalid_input" if status == HTTPStatus.BAD_REQUEST else status.name.lower(),
        title="Invalid input" if status == HTTPStatus.BAD_REQUEST else status.phrase,
        detail=detail,
        errors=errors,
        headers=dict(error.headers or {}),
    )


def on_bug(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Answer for what nobody foresaw: the log has the story, the client the request id."""
    _log.error("unhandled_error", error=type(error).__name__, exc_info=error)
    return response(
        request,
        status=500,
        code="internal_error",
        title="Internal error",
        detail="Something went wrong on our side. Quote the request id when you ask about it.",
    )


HANDLERS: Final[ExceptionHandlersMap] = {
    KernaPayError: on_kernapay_error,
    HTTPException: on_http_exception,
    Exception: on_bug,
}
