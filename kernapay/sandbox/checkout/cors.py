"""Let the pages of every shop call what Checkout consists of, as Razorpay does."""

from typing import Final

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

PATHS: Final = ("/checkout/", "/v1/checkout", "/v1/preferences")
# No credentials: pages know the key id, which is public.
_ANY_ORIGIN: Final = (b"access-control-allow-origin", b"*")
_PREFLIGHT: Final = [
    _ANY_ORIGIN,
    (b"access-control-allow-methods", b"GET, POST"),
    (b"access-control-allow-headers", b"content-type"),
    (b"access-control-max-age", b"600"),
]


class OpenToPages:
    """ASGI middleware that answers preflights of these paths, and marks their answers as readable by any page."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP or not scope["path"].startswith(PATHS):
            await self._app(scope, receive, send)
            return
        names = {name for name, _ in scope["headers"]}
        if scope["method"] == "OPTIONS" and b"access-control-request-method" in names:
            await send({"type": "http.response.start", "status": 204, "headers": _PREFLIGHT})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], _ANY_ORIGIN]
            await send(message)

        await self._app(scope, receive, answer)
