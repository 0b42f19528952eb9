"""Structured logs: one JSON object per line, with the request id and without secrets."""

import logging
import sys
from collections.abc import MutableMapping
from contextvars import ContextVar
from typing import Any, Final, NamedTuple, TextIO

import msgspec
import structlog

_REDACTED: Final = "[redacted]"
_SECRET_WORDS: Final = (
    "password",
    "secret",
    "token",
    "authorization",
    "signature",
    "otp",
    "api_key",
    "cookie",
    "email",
    "mobile",
    "card",
)


class RequestIds(NamedTuple):
    """The ids of a request. Callers choose theirs, so that two requests may have the same one; `own` is ours."""

    own: str
    client: str | None = None

    @property
    def shown(self) -> str:
        """The id that answers and log lines have."""
        return self.client or self.own


request_ids: Final[ContextVar[RequestIds | None]] = ContextVar("request_ids", default=None)
"""The ids of the current request. Every log line of the request carries them."""


def _add_request_id(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if (current := request_ids.get()) is not None:
        event["request_id"] = current.shown
        if current.client is not None:
            event["own_request_id"] = current.own
    return event


def redact(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace every value whose name suggests a secret or personal data."""
    for name, value in event.items():
        event[name] = _redact_value(name, value)
    return event


def _redact_value(name: object, value: Any) -> Any:
    if any(word in str(name).lower() for word in _SECRET_WORDS):
        return _REDACTED
    if isinstance(value, dict):
        return {inner: _redact_value(inner, each) for inner, each in value.items()}
    if isinstance(value, list | tuple):
        return [_redact_value("", each) for each in value]
    return value


def _render(_: Any, __: str, event: MutableMapping[str, Any]) -> bytes:
    return msgspec.json.encode(event, enc_hook=repr)


def _render_text(_: Any, __: str, event: MutableMapping[str, Any]) -> str:
    return _render(_, __, event).decode()


def configure(level: str = "INFO", stream: TextIO | None = None) -> None:
    """Write the logs of structlog and of the standard library as JSON lines, by default to standard output."""
    stream = stream or sys.stdout
    shared: list[Any] = [
        _add_request_id,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.format_exc_info,
        redact,
    ]
    structlog.configure(
        processors=[*shared, _render],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level)),
        logger_factory=structlog.BytesLoggerFactory(stream.buffer),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared[:3], structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                redact,
                _render_text,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # Below WARNING the drivers log a lot, and at DEBUG they log queries.
    root.setLevel(logging.WARNING)
