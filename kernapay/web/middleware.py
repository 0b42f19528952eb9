"""The outermost middleware: request id, HEAD and OPTIONS, security headers, access log and timing."""

import random
import re
from collections.abc import Awaitable, Iterable
from datetime import UTC, datetime
from time import perf_counter
from typing import Any, Final

from litestar import Litestar, Request
from litestar.enums import ScopeType
from litestar.types import Message, Receive, Scope, Send

from kernapay.core import logs
from kernapay.core.errors import InvalidInput, KernaPayError
from kernapay.core.metrics import HistogramTally
from kernapay.web.access_log import AccessLine, AccessLog
from kernapay.web.body_limits import CLOSE, UNREAD, WITH_BODY, TimedBody
from kernapay.web.headers import POLICY, Headers, SecurityHeaders
from kernapay.web.methods import AllowedMethods, head_only
from kernapay.web.parameters import single_headers
from kernapay.web.problems import on_kernapay_error
from kernapay.web.slow_readers import ReaderTooSlow, TimedSend

REQUESTS: Final = HistogramTally(
    "kernapay_http_request_seconds",
    "Time to answer, by route and status",
    ("method", "route", "status"),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
_REQUEST_ID: Final = b"x-request-id"
_USABLE_ID: Final = re.compile(rb"[A-Za-z0-9._-]{8,64}")
_METHOD_NOT_ALLOWED: Final = 405


class RequestLayer:
    """Wrap the whole application, so that requests which the router refuses are logged and counted too."""

    def __init__(
        self,
        app: Litestar,
        access_log: AccessLog,
        headers: SecurityHeaders,
        *,
        body_seconds: float,
        send_seconds: float,
    ) -> None:
        self.app = app.asgi_handler
        self._access_log = access_log
        self._security_headers = headers
        self._timings: dict[tuple[str, str, int], Any] = {}
        self._body_seconds = body_seconds
        self._send_seconds = send_seconds
        self._single_headers = single_headers(app)
        self._allowed = AllowedMethods(app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self.app(scope, receive, send)
            return
        started = perf_counter()
        method = scope["method"]
        ids, error = self._read_head(scope)
        shown = ids.shown
        state = scope.setdefault("state", {})
        state["request_id"] = shown
        logs.request_ids.set(ids)
        security = self._security_headers.of(scope["path"])
        status = 0
        body = None
        server_send, send = send, TimedSend(send, self._send_seconds)

        # No coroutine of its own: it returns what the server's `send` does.
        def answer(message: Message) -> Awaitable[None]:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = message.get("headers", ())
                if status == _METHOD_NOT_ALLOWED or method == "OPTIONS":
                    headers = self._allowed.add_to(headers, scope.get("path_template"))
                more = state.get("headers", ())
                ours = _besides(headers, security)
                message["headers"] = [*headers, *ours, (_REQUEST_ID, shown.encode()), *more]
                if body is None or body.is_complete:
                    return server_send(message)
                return _send_early(message, body, server_send)
            return send(message)

        answer_with: Send = answer
        if method == "HEAD":
            # Guards, limits and handlers see a GET, so that the answer's head is the same.
            scope["method"] = "GET"
            receive, answer_with = head_only(answer)
        elif method in WITH_BODY:
            receive = body = TimedBody(scope, receive, self._body_seconds)
        try:
            if error is None:
                await self.app(scope, receive, answer_with)
            else:
                await _refuse(error, scope, receive, answer_with)
        except Exception as failure:
            if not send.is_too_late:
                raise
            # Litestar wraps it, and the server would log that as a fault of ours.
            raise ReaderTooSlow from failure
        finally:
            self._finish(scope, method, status, perf_counter() - started, ids)

    def _read_head(self, scope: Any) -> tuple[logs.RequestIds, KernaPayError | None]:
        """Return the ids of the request, and an error if its headers are invalid."""
        headers = scope["headers"]
        one_of_each = dict(headers)
        given = one_of_each.get(_REQUEST_ID)
        if len(one_of_each) < len(headers):
            names = [name for name, _ in headers]
            given = given if names.count(_REQUEST_ID) == 1 else None
            for name in names:
                if name in self._single_headers and names.count(name) > 1:
                    return _request_ids(given), _doubled(name)
        if not one_of_each.get(b"host", b"").strip() and scope["http_version"] == "1.1":
            return _request_ids(given), InvalidInput("Send the header Host.", field="Host")
        return _request_ids(given), None

    def _finish(
        self, scope: Any, method: str, status: int, seconds: float, ids: logs.RequestIds
    ) -> None:
        # Log the template, never the path: a reference id grants access to its status, and user ids are personal data.
        route = scope.get("path_template") or "unmatched"
        # Clients may invent methods, and each would add a time series.
        counted = method if route != "unmatched" else "any"
        ms = round(seconds * 1000, 2)
        line = AccessLine(method, route, status, ms, ids.shown, datetime.now(UTC))
        if ids.client is not None:
            line.own_request_id = ids.own
        self._access_log.write(line)
        timing = self._timings.get((counted, route, status))
        if timing is None:
            timing = REQUESTS.labels(counted, route, str(status))
            self._timings[counted, route, status] = timing
        timing.observe(seconds)


def _besides(headers: Iterable[tuple[bytes, bytes]], security: Headers) -> Headers:
    """Return our headers for an answer. A page with a content security policy of its own does not get ours too."""
    if POLICY in dict(headers):
        return tuple(each for each in security if each[0] != POLICY)
    return security


def _request_ids(given: bytes | None) -> logs.RequestIds:
    """Return our id of the request and the client's, unless it sent none or one of another form."""
    # No secret, so it need not be hard to guess. A forked process starts with another seed.
    own = f"{random.getrandbits(64):016x}"
    if given is None or not _USABLE_ID.fullmatch(given):
        return logs.RequestIds(own)
    return logs.RequestIds(own, given.decode())


def _doubled(name: bytes) -> InvalidInput:
    title = "-".join(part.capitalize() for part in name.decode().split("-"))
    return InvalidInput(f"Send the header {title} once.", field=title)


async def _send_early(message: Any, body: TimedBody, send: Send) -> None:
    """Begin an answer to a request whose body has not been read to its end."""
    if message["status"] not in UNREAD:
        await body.read_rest()
    if not body.is_complete and CLOSE not in message["headers"]:
        message["headers"] = [*message["headers"], CLOSE]
    await send(message)


async def _refuse(error: KernaPayError, scope: Any, receive: Receive, send: Send) -> None:
    request: Request[Any, Any, Any] = Request(scope, receive, send)
    response = on_kernapay_error(request, error).to_asgi_response(app=None, request=request)
    await response(scope, receive, send)
