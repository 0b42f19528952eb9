"""The HTTP access log: one JSON line per request."""

import logging

import msgspec

from kernapay.core.log_stream import LogStream


class AccessLine(msgspec.Struct, omit_defaults=False):
    """One request. Encoded directly: every request writes a line, and structlog's processors are slower."""

    method: str
    route: str
    status: int
    ms: float
    request_id: str
    time: str
    level: str = "info"
    event: str = "request"
    own_request_id: str | msgspec.UnsetType = msgspec.UNSET
    """Our id, where `request_id` is the client's."""


class AccessLog:
    def __init__(self, level: str, lines: LogStream) -> None:
        self._enabled = getattr(logging, level) <= logging.INFO
        self._lines = lines
        self._encode = msgspec.json.Encoder().encode

    def write(self, line: AccessLine) -> None:
        if self._enabled:
            self._lines.write(self._encode(line) + b"\n")
