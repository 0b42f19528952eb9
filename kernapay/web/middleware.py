"""The outermost middleware: request id, security headers, access log and timing."""

import re
import secrets
from datetime import UTC, datetime
from time import perf_counter
from typing import Any, Final

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from msgspec import UNSET
from prometheus_client import Histogram

from kernapay.core import logs
from kernapay.web.access_log import AccessLine, AccessLog
from kernapay.web.body_limits import UNREAD, WITH_BODY, TimedBody
from kernapay.web.headers import headers_for

REQUESTS: Final = Histogram(
    "kernapay_http_request_seconds",
    "Time to answer, by route and status",
    ("method", "route", "status"),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{8,64}")


class RequestLayer:
    """Wrap the whole application, so that requests which the router refuses are logged and counted too."""

    def __init__(self, app: ASGIApp, access_log: AccessLog, body_seconds: float) -> None:
        self.app = app
        self._access_log = access_log
        self._timings: dict[tuple[str, str, int], Any] = {}
        self._body_seconds = body_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self.app(scope, receive, send)
            return
        started = perf_counter()
        ids = logs.RequestIds(secrets.token_hex(8), _client_request_id(scope))
        state = scope.setdefault("state", {})
        state["request_id"] = ids.shown
        logs.request_ids.set(ids)
        extra = [*headers_for(scope["path"]), (b"x-request-id", ids.shown.encode())]
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                more = state.get("headers", ())
                if status in UNREAD:
                    more = (*more, (b"connection", b"close"))
                message["headers"] = [*message.get("headers", ()), *extra, *more]
            await send(message)

        if scope["method"] in WITH_BODY:
            receive = TimedBody(scope, receive, self._body_seconds)
        try:
            await self.app(scope, receive, answer)
        finally:
            self._finish(scope, status, perf_counter() - started, ids)

    def _finish(self, scope: Any, status: int, seconds: float, ids: logs.RequestIds) -> None:
        # Log the template, never the path: a reference id grants access to its status, and user ids are personal data.
        route = scope.get("path_template") or "unmatched"
        # Clients may invent methods, and each would add a time series.
        method = scope["method"] if route != "unmatched" else "any"
        timing = self._timings.get((method, route, status))
        if timing is None:
            timing = REQUESTS.labels(method, route, str(status))
            self._timings[method, route, status] = timing
        timing.observe(seconds)
        self._access_log.write(
            AccessLine(
                method=scope["method"],
                route=route,
                status=status,
                ms=round(seconds * 1000, 2),
                request_id=ids.shown,
                own_request_id=UNSET if ids.client is None else ids.own,
                time=datetime.now(UTC).isoformat(timespec="milliseconds"),
            )
        )


def _client_request_id(scope: Any) -> str | None:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return str(value.decode())
    return None
