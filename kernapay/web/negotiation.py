"""Compress answers for clients that prefer it, by the rules of RFC 9110, section 12.5.3."""

import re
from collections.abc import Awaitable
from functools import lru_cache
from typing import Any, Final, NamedTuple

from litestar.config.compression import CompressionConfig
from litestar.enums import CompressionEncoding
from litestar.middleware.compression import CompressionMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from kernapay.core.errors import KernaPayError

_QUALITY: Final = re.compile(r"q\s*=\s*(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)", re.IGNORECASE)
_LAST_CHOICE: Final = 0.001
# Longer headers are not kept in memory.
_USUAL_LENGTH: Final = 200


class NotAcceptable(KernaPayError):
    """`Accept-Encoding` refuses every encoding that this service can send."""

    code = "not_acceptable"
    title = "Not Acceptable"


class Preference(NamedTuple):
    """The quality that a client gives to gzip and to no encoding (identity). 0 means refused."""

    gzip: float
    identity: float


def preference(accept_encoding: str) -> Preference:
    """Parse an `Accept-Encoding` header. A coding with a malformed quality counts as refused."""
    qualities: dict[str, float] = {}
    for element in accept_encoding.split(","):
        coding, *parameters = (part.strip() for part in element.split(";"))
        if coding:
            qualities[coding.lower()] = _quality(parameters)
    others = qualities.get("*")
    # x-gzip is an old name of gzip. Of codings that are not listed, only identity is accepted, as the last choice.
    gzip = qualities.get("gzip", qualities.get("x-gzip", others or 0.0))
    identity = qualities.get("identity", _LAST_CHOICE if others is None else others)
    return Preference(gzip, identity)


def _quality(parameters: list[str]) -> float:
    if not parameters:
        return 1.0
    match = _QUALITY.fullmatch(parameters[0])
    return float(match[1]) if match else 0.0


_usual_preference = lru_cache(64)(preference)


class NegotiatedCompression:
    """Compress large answers for clients that like gzip at least as much as uncompressed ones.

    Those of the paths that match `streams` are never compressed: a compressor takes three times the memory of a stream.
    Answers of the paths that match `small` are never large. They, and other small answers, are compressed only for
    clients that refuse uncompressed ones. Raises NotAcceptable for clients that refuse both.
    """

    def __init__(
        self, app: ASGIApp, small: str, streams: str, minimum_size: int, level: int
    ) -> None:
        self.app = app
        self._streams = re.compile(streams)
        self._small = re.compile(small)
        self._large_only, self._all = (
            CompressionMiddleware(
                app, CompressionConfig("gzip", minimum_size=size, gzip_compress_level=level)
            )
            for size in (minimum_size, 1)
        )

    # No coroutine of its own: it returns the application's.
    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        values = [
            value.decode("latin-1")
            for name, value in scope["headers"]
            if name == b"accept-encoding"
        ]
        if values:
            send = self._negotiate(", ".join(values), scope, send)
        return self.app(scope, receive, send)

    def _negotiate(self, accept_encoding: str, scope: Any, send: Send) -> Send:
        judge = _usual_preference if len(accept_encoding) <= _USUAL_LENGTH else preference
        gzip, identity = judge(accept_encoding)
        if not gzip and not identity:
            raise NotAcceptable("Accept-Encoding must allow gzip or identity.")
        if self._streams.search(scope["path"]):
            if not identity:
                raise NotAcceptable(
                    "Streams are not compressed: Accept-Encoding must allow identity."
                )
            return send
        if not identity:
            compression = self._all
        elif gzip >= identity and not self._small.search(scope["path"]):
            compression = self._large_only
        else:
            return send
        return compression.create_compression_send_wrapper(send, CompressionEncoding.GZIP, scope)
