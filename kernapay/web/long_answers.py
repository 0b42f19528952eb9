"""Send answers that take minutes. The request that began one is released, and only the stream stays in memory."""

from collections.abc import Awaitable
from typing import Any, Final, Protocol

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from kernapay.web.slow_readers import TimedSend

GOES_ON: Final = "goes_on"
"""The key in a request's `state` for a LongAnswer, of which everything so far was sent."""


class LongAnswer(Protocol):
    """The rest of an answer that has begun."""

    async def go_on(self, receive: Receive, send: Send) -> None:
        """Send the rest. It is called once or, if the client has gone, not at all."""

    def close(self) -> None:
        """Release the answer's resources. It is always called, and last."""


class LongAnswers:
    """Wrap the whole application, and send the rest of a long answer after the application has returned.

    The request in Litestar and its middleware take more memory than an idle stream. They have logged and counted the
    request by then, so its duration is the time until the answer began.
    """

    def __init__(self, app: ASGIApp, part_of_path: str, send_seconds: float) -> None:
        """Only answers of paths that contain `part_of_path` go on."""
        self.app = app
        self._part_of_path = part_of_path
        self._send_seconds = send_seconds

    # No coroutine of its own for most requests: it returns the application's.
    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == ScopeType.HTTP and self._part_of_path in scope["path"]:
            return self._follow(scope, receive, send)
        return self.app(scope, receive, send)

    async def _follow(self, scope: Any, receive: Receive, send: Send) -> None:
        # The application changes HEAD to GET.
        has_body = scope["method"] != "HEAD"
        state: Any = scope.setdefault("state", {})
        try:
            await self.app(scope, receive, send)
            rest = state.get(GOES_ON)
            if rest is not None and has_body:
                _forget(scope)
                await rest.go_on(receive, TimedSend(send, self._send_seconds))
        finally:
            rest = state.pop(GOES_ON, None)
            if rest is not None:
                rest.close()


def _forget(scope: Any) -> None:
    """Empty the scope, which the server keeps until the end, so that the request's data is freed."""
    for name in [each for each in scope if each not in ("type", "state")]:
        del scope[name]
    for name in [each for each in scope["state"] if each != GOES_ON]:
        del scope["state"][name]
