"""Structured logs: one JSON object per line, with the request id and without secrets."""

import logging
import sys
import threading
from collections.abc import MutableMapping
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Final, NamedTuple, TextIO

import msgspec
import structlog

from kernapay.core.log_stream import LogStream

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
    try:
        return msgspec.json.encode(event, enc_hook=repr)
    except (ValueError, TypeError, OverflowError):
        # Half an emoji, or a number beyond 64 bits: JSON cannot hold it, and the line is still needed.
        return msgspec.json.encode({str(name): _ascii(value) for name, value in event.items()})


def _ascii(value: Any) -> str:
    return ascii(value) if not isinstance(value, str) else ascii(value)[1:-1]


def _render_text(_: Any, __: str, event: MutableMapping[str, Any]) -> str:
    return _render(_, __, event).decode()


class _LineHandler(logging.Handler):
    """Write the records of the standard library. Unlike StreamHandler, print nothing when a line cannot be written."""

    def __init__(self, stream: LogStream) -> None:
        super().__init__()
        self._stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception as error:
            # A driver's message and its arguments may not fit. Its record must not be lost for that.
            known = {"event": str(record.msg), "logger": record.name, "level": "error"}
            line = _render_text(None, "", {**known, "format_error": repr(error)})
        self._stream.write(line.encode() + b"\n")


def configure(level: str = "INFO", stream: TextIO | None = None) -> LogStream:
    """Write the logs of structlog and of the standard library as JSON lines, by default to standard output.

    Return the stream of the lines, for other lines of the same output.
    """
    lines = LogStream(stream or sys.stdout)
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
        logger_factory=structlog.BytesLoggerFactory(lines),  # type: ignore[arg-type]
        # Else a logger keeps what was configured when it was used first, also in a test that looks at its lines.
        cache_logger_on_first_use=False,
    )
    handler = _LineHandler(lines)
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
    logging.captureWarnings(True)
    return lines


def catch_unhandled() -> None:
    """Log uncaught exceptions, in any thread, instead of printing their traceback. For services."""
    sys.excepthook = _log_unhandled
    threading.excepthook = _log_unhandled_in_thread


def _log_unhandled(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    structlog.get_logger("kernapay").critical(
        "unhandled_exception", error=kind.__name__, exc_info=(kind, error, traceback)
    )


def _log_unhandled_in_thread(arguments: threading.ExceptHookArgs) -> None:
    if arguments.exc_value is not None and arguments.exc_type is not SystemExit:
        _log_unhandled(arguments.exc_type, arguments.exc_value, arguments.exc_traceback)
