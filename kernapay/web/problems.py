"""Errors as RFC 9457 `application/problem+json`."""

import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Annotated, Any, Final

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
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
from kernapay.core.patterns import meaning_of
from kernapay.web.body_limits import BodyTooSlow, CompressedBody

MEDIA_TYPE: Final = "application/problem+json"
_log = structlog.get_logger("kernapay.errors")
_UNKNOWN_FIELD: Final = re.compile(r"unknown field `([^`]*)`")
_MISSING_FIELD: Final = re.compile(r"missing required field `([^`]*)`")
_PATH: Final = re.compile(r" - at (?:`key` in )?`(?:key in )?\$\.?([^`]*)`")
_ABSENT: Final = re.compile(r"'\w+'")  # all that is left of a KeyError
_PATTERN: Final = re.compile(r"Expected `str` matching regex '(.*)'")
_LENGTH: Final = re.compile(r"Expected `(str|array|object)` of length ([<>])= (\d+)")
_ENUM: Final = re.compile(r"Invalid enum value ")
_BOUND: Final = re.compile(r"Expected `(?:int|float)` ([<>])= (\S+)")
# By category; an error that is none of these is a bug of ours.
_STATUS: Final[Mapping[type[KernaPayError], HTTPStatus]] = {
    InvalidInput: HTTPStatus.BAD_REQUEST,
    Unauthenticated: HTTPStatus.UNAUTHORIZED,
    Forbidden: HTTPStatus.FORBIDDEN,
    NotFound: HTTPStatus.NOT_FOUND,
    BodyTooSlow: HTTPStatus.REQUEST_TIMEOUT,
    Conflict: HTTPStatus.CONFLICT,
    TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    CompressedBody: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    TooManyRequests: HTTPStatus.TOO_MANY_REQUESTS,
    RetryLater: HTTPStatus.SERVICE_UNAVAILABLE,
    UpstreamError: HTTPStatus.BAD_GATEWAY,
    KernaPayError: HTTPStatus.INTERNAL_SERVER_ERROR,
}
# The framework's own errors get the names of ours: those of Python's HTTPStatus differ between its versions.
_NAMED: Final = {_STATUS[error]: error for error in (InvalidInput, NotFound, TooLarge)}
_UNITS: Final = {"str": "characters", "array": "items", "object": "entries"}
_LIMITS: Final = {">": "at least", "<": "at most"}


class FieldError(msgspec.Struct, frozen=True):
    """One thing wrong with one field."""

    field: Annotated[str, msgspec.Meta(examples=["amount"])]
    message: Annotated[str, msgspec.Meta(examples=["Must be at least 1."])]


class Problem(msgspec.Struct, frozen=True, rename="camel"):
    """What went wrong, as RFC 9457 describes it. `code` is stable and meant for programs."""

    type: Annotated[str, msgspec.Meta(examples=["urn:kernapay:problem:invalid_input"])]
    title: Annotated[str, msgspec.Meta(examples=["Invalid input"])]
    status: Annotated[int, msgspec.Meta(examples=[400])]
    detail: Annotated[str, msgspec.Meta(examples=["amount: Must be at least 1."])]
    code: Annotated[str, msgspec.Meta(examples=["invalid_input"])]
    errors: list[FieldError] = []
    request_id: Annotated[str, msgspec.Meta(examples=["9f86d081884c7d65"])] | None = None


def status_of(error: type[KernaPayError]) -> int:
    """Return the HTTP status of an error: that of the nearest category it derives from."""
    return next(int(_STATUS[category]) for category in error.__mro__ if category in _STATUS)


def type_of(code: str) -> str:
    return f"urn:kernapay:problem:{code}"


def field_error(message: str, key: str = "") -> FieldError:
    """Turn the decoder's sentence into the field it speaks of and the rest."""
    path = _PATH.search(message)
    place = path[1] if path and path[1] else key
    # The framework calls the body `data`; a key or item of a collection is told by its collection.
    field = re.sub(r"^data(\.|$)", "", place).replace("[...]", "")
    for pattern, text in ((_UNKNOWN_FIELD, "Unknown field."), (_MISSING_FIELD, "Field required.")):
        if found := pattern.search(message):
            return FieldError(f"{field}.{found[1]}" if field else found[1], text)
    return FieldError(field or "body", _plain(_PATH.sub("", message)))


def _plain(message: str) -> str:
    """Say the decoder's common complaints as people would."""
    if _ABSENT.fullmatch(message):
        return "Required."
    if found := _PATTERN.fullmatch(message):
        pattern = found[1].replace("\\\\", "\\")
        meaning = meaning_of(pattern)
        return f"Must be {meaning}." if meaning else f"Must match {pattern}"
    if _ENUM.match(message):
        return "Is none of the values there are."  # without what was sent, however long
    if found := _LENGTH.fullmatch(message):
        return f"Must have {_LIMITS[found[2]]} {found[3]} {_UNITS[found[1]]}."
    if found := _BOUND.fullmatch(message):
        return f"Must be {_LIMITS[found[1]]} {found[2]}."
    return message


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
    )
    return Response(
        msgspec.json.encode(problem), status_code=status, media_type=MEDIA_TYPE, headers=headers
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
    """Render the framework's own errors; its texts for 5xx stay inside."""
    status = HTTPStatus(error.status_code)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return on_bug(request, error)
    errors: list[FieldError] = []
    detail = error.detail or status.description or status.phrase
    if isinstance(error, ValidationException) and isinstance(error.extra, list):
        errors = [
            field_error(str(item.get("message", "")), _public_name(request, item))
            for item in error.extra
            if isinstance(item, dict)
        ]
        detail = "; ".join(f"{item.field}: {item.message}" for item in errors) or "Invalid input."
    elif status == HTTPStatus.BAD_REQUEST and isinstance(error.__cause__, KeyError):
        # A parameter that is not there; the framework names it in a sentence that holds the whole path.
        errors = [FieldError(str(error.__cause__.args[0]), "Required.")]
        detail = f"{errors[0].field}: Required."
    elif status == HTTPStatus.BAD_REQUEST and error.__cause__ is not None:
        errors = [field_error(str(error.__cause__))]
        detail = "The body is not valid JSON of the expected form."
    elif status == HTTPStatus.NOT_FOUND:
        detail = "There is nothing at this address."
    known = _NAMED.get(status)
    return response(
        request,
        status=status,
        code=known.code if known else status.name.lower(),
        title=known.title if known else status.phrase,
        detail=detail,
        errors=errors,
        headers=dict(error.headers or {}),
    )


def _public_name(request: Request[Any, Any, Any], item: dict[str, Any]) -> str:
    """Call a header by its own name, not by that of the handler's argument."""
    key = str(item.get("key", ""))
    parameter = request.route_handler.parsed_fn_signature.parameters.get(key)
    return getattr(parameter and parameter.kwarg_definition, "name", None) or key


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
