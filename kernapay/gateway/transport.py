"""Send the requests of the Razorpay SDK on the event loop, and raise typed errors.

The SDK accepts any object with the interface of requests.Session. `Recorder` is one that only records the request, so
the SDK returns the request instead of an answer, and `Transport` sends it. That costs a fraction of the CPU, and a
call ends at its deadline whatever part of it is slow. Redirects are not followed. The errors have the status,
field and reason, which the SDK's own errors lack.
"""

import asyncio
import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import aiohttp
import structlog

from kernapay.gateway.base import GatewayError, GatewayUnknown
from kernapay.gateway.connections import Connections, Request
from kernapay.gateway.decoding import Unreadable, read_json
from kernapay.gateway.metrics import count_call
from kernapay.gateway.refusals import judge, read_refusal

_log = structlog.get_logger("kernapay.gateway")
_PERSONAL: Final = re.compile(r"\S+@\S+|\+?\d[\d -]{8,}\d|\b\w+_[A-Za-z0-9]{14,}")
_LONGEST_LOGGED: Final = 1_000


Keep = Callable[[Request, int | None, bytes, float], None]
"""Keeps a call: its request, the status and the body of its answer, and the seconds it took.

Without an answer, the status is None. It must neither wait nor raise.
"""


class _Taken:
    """The part of requests.Response that the SDK reads. Its document is the request."""

    status_code = 200

    def __init__(self, request: Request) -> None:
        self._request = request

    def json(self) -> Request:
        return self._request


class Recorder:
    """The session of an SDK's client whose calls return what they would send, a `Request`."""

    def get(self, url: str, **options: Any) -> _Taken:
        return _take("GET", url, **options)

    def post(self, url: str, **options: Any) -> _Taken:
        return _take("POST", url, **options)


def _take(
    method: str,
    url: str,
    *,
    auth: tuple[str, str],
    headers: Mapping[str, str],
    data: str | None = None,
    params: Mapping[str, Any] | None = None,
    verify: str | None = None,
) -> _Taken:
    # The system's authorities are trusted: the list in the SDK is as old as its release.
    del verify
    query = f"?{urlencode(params)}" if params else ""
    proof = f"Basic {b64encode(':'.join(auth).encode()).decode()}"
    # A compressed answer would have to be bounded when it is unpacked.
    more = {"Authorization": proof, "Accept-Encoding": "identity"}
    return _Taken(Request(method, url + query, {**headers, **more}, data))


class Transport:
    """A pool of connections to the gateway."""

    def __init__(self, connections: int, keep: Keep | None = None) -> None:
        self._limit = connections
        self._keep = keep
        self._connections: Connections | None = None

    async def send(self, request: Request, seconds: float) -> Any:
        """Send a request and return the document of the answer, which comes whole in time. Raises GatewayError."""
        if self._connections is None:
            # Only now: it can only be made on the event loop that it is for.
            self._connections = Connections(self._limit)
        start = perf_counter()
        status: int | None = None
        body = b""
        try:
            async with asyncio.timeout(seconds):
                status, body = await self._connections.exchange(request)
        except (aiohttp.ClientError, ValueError, OSError) as error:
            _log.warning(
                "gateway_unanswered",
                call=template_of(request),
                error=type(error).__name__,
                detail=_for_log(str(error)),
                seconds=round(perf_counter() - start, 2),
            )
            raise GatewayUnknown("The payment gateway did not answer. Try again.") from error
        finally:
            seconds = perf_counter() - start
            count_call(request.method, request.url, status, seconds)
            if self._keep is not None:
                self._keep(request, status, body, seconds)
        return _read(request, status, body)

    async def close(self) -> None:
        if self._connections is not None:
            connections, self._connections = self._connections, None
            await connections.close()


def template_of(request: Request) -> str:
    """Return a call without ids: `POST payments/{id}/capture`."""
    parts = urlsplit(request.url).path.strip("/").split("/")[1:]
    return f"{request.method} {'/'.join('{id}' if '_' in part else part for part in parts)}"


def _for_log(text: str) -> str:
    """Shorten the gateway's text, and remove what could be an e-mail address or a phone number."""
    # First shortened: on unbounded text, the search would take quadratic time.
    return _PERSONAL.sub("[redacted]", text[:_LONGEST_LOGGED])[:300]


def _read(request: Request, status: int, body: bytes) -> Any:
    if not 200 <= status < 300:
        raise _read_error(request, status, body)
    try:
        return read_json(body)
    except Unreadable as error:
        call = template_of(request)
        _log.warning("gateway_unreadable", call=call, status=status, bytes=len(body))
        raise GatewayUnknown(
            "The payment gateway's answer is not valid JSON.", http_status=status
        ) from error


def _read_error(request: Request, status: int, body: bytes) -> GatewayError:
    refusal = read_refusal(status, body)
    error = judge(refusal, is_change=request.is_change)
    _log.warning(
        "gateway_refused",
        call=template_of(request),
        status=status,
        code=refusal.code,
        field=refusal.field,
        reason=refusal.reason,
        description=_for_log(refusal.description or body[:200].decode(errors="replace")),
        judged=type(error).__name__,
    )
    return error
