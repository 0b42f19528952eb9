"""The last calls of the API, with their bodies, for the page of the sandbox."""

import time
from collections import deque
from collections.abc import Iterator
from itertools import count
from typing import Any, Final

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from msgspec import Struct

from kernapay.sandbox.clock import Clock
from kernapay.sandbox.rest.authentication import read_key_id

MAX_CALLS: Final = 500
# Ours: what a person reads. Longer bodies are cut.
MAX_BODY: Final = 20_000
LOGGED_PATHS: Final = ("/v1/", "/v2/")
# Not the API: Checkout's scripts and its hosted page.
SKIPPED_PATHS: Final = ("/v1/checkout",)
# Their bodies have the secrets of webhooks.
SECRET_PATHS: Final = ("/v1/webhooks",)
LEFT_OUT: Final = "[not kept: it has a secret]"


class LoggedCall(Struct, kw_only=True):
    """One call as it came, decoded only when somebody looks. `status` None: it got no whole answer."""

    id: str
    at: float
    method: str
    path: str
    raw_query: bytes
    headers: dict[bytes, bytes]
    raw_request: bytes = b""
    status: int | None = None
    raw_response: bytes = b""
    milliseconds: float = 0.0

    @property
    def query(self) -> str:
        return self.raw_query.decode("latin-1")

    @property
    def key_id(self) -> str:
        return read_key_id(self.header(b"authorization"))

    @property
    def request_body(self) -> str:
        if self.path.startswith(SECRET_PATHS) and self.raw_request:
            return LEFT_OUT
        return text(self.raw_request)

    @property
    def response_body(self) -> str:
        return text(self.raw_response)

    def header(self, name: bytes) -> str:
        return self.headers.get(name, b"").decode("latin-1")


class RequestLog:
    """In memory only, the newest last."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._calls: deque[LoggedCall] = deque(maxlen=MAX_CALLS)
        self._numbers = count(1)

    def __iter__(self) -> Iterator[LoggedCall]:
        """Return the calls, newest first."""
        return reversed(self._calls)

    def __len__(self) -> int:
        return len(self._calls)

    def get(self, call_id: str) -> LoggedCall | None:
        return next((call for call in self._calls if call.id == call_id), None)

    def clear(self) -> None:
        self._calls.clear()

    def begin(self, scope: Any) -> LoggedCall:
        call = LoggedCall(
            id=f"req_{next(self._numbers)}",
            at=self._clock.now(),
            method=scope["method"],
            path=scope["path"],
            raw_query=scope["query_string"],
            headers=dict(scope["headers"]),
        )
        self._calls.append(call)
        return call


class RequestLogMiddleware:
    """ASGI middleware around all others, so that it sees what faults make of the answers."""

    def __init__(self, app: ASGIApp, log: RequestLog) -> None:
        self._app = app
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"] if scope["type"] == ScopeType.HTTP else ""
        if not path.startswith(LOGGED_PATHS) or path.startswith(SKIPPED_PATHS):
            await self._app(scope, receive, send)
            return
        call = self._log.begin(scope)
        request, response = bytearray(), bytearray()
        start = time.perf_counter()

        async def read() -> Any:
            message = await receive()
            if message["type"] == "http.request" and len(request) <= MAX_BODY:
                request.extend(message.get("body", b""))
            return message

        async def write(message: Message) -> None:
            if message["type"] == "http.response.start":
                call.status = message["status"]
            elif message["type"] == "http.response.body" and len(response) <= MAX_BODY:
                response.extend(message["body"])
            await send(message)

        try:
            await self._app(scope, read, write)
        finally:
            call.milliseconds = round((time.perf_counter() - start) * 1000, 1)
            call.raw_request, call.raw_response = bytes(request), bytes(response)


def text(body: bytes) -> str:
    cut = body[:MAX_BODY].decode(errors="replace")
    return f"{cut}…" if len(body) > MAX_BODY else cut
