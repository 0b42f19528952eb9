"""The HTTP access log: one JSON line per request."""

import logging
import sys
from typing import TextIO

import msgspec
import structlog


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
    def __init__(self, level: str, stream: TextIO | None = None) -> None:
        self._enabled = getattr(logging, level) <= logging.INFO
        self._logger = structlog.BytesLogger((stream or sys.stdout).buffer)
        self._encode = msgspec.json.Encoder().encode

    def write(self, line: AccessLine) -> None:
        if self._enabled:
            self._logger.msg(self._encode(line))
