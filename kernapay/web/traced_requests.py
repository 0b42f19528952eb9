"""A span for each request. `create_app` adds this only while tracing is on."""

from typing import Final

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from kernapay.core.tracing import Tracing

# They are asked every few seconds, and tell nothing.
_UNTRACED: Final = ("/health/", "/metrics")
_FIRST_FAILURE: Final = 500


class TracedRequests:
    """Trace requests, named by their route and never by their path."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        tracer = Tracing.tracer
        is_traced = scope["type"] == ScopeType.HTTP and not scope["path"].startswith(_UNTRACED)
        if tracer is None or not is_traced:
            await self.app(scope, receive, send)
            return
        method = str(scope.get("method"))  # the application changes HEAD to GET
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with tracer.request(_traceparent(scope)) as span:
            try:
                await self.app(scope, receive, answer)
            finally:
                route = scope.get("path_template") or "unmatched"
                span.finish(
                    f"{method} {route}" if route != "unmatched" else "unmatched",
                    {
                        "http.request.method": method if route != "unmatched" else "any",
                        "http.route": route,
                        "http.response.status_code": status,
                        "kernapay.request_id": str(scope["state"].get("request_id")),
                    },
                    failed=status >= _FIRST_FAILURE or not status,
                )


def _traceparent(scope: Scope) -> str | None:
    values = [value for name, value in scope["headers"] if name == b"traceparent"]
    return values[0].decode("latin-1") if len(values) == 1 else None
