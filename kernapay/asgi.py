"""The factory that Granian calls in each worker."""

import asyncio
import sys
from typing import Final

import structlog
from litestar.types import ASGIApp, Receive, Scope, Send

from kernapay.app import create_app
from kernapay.config.loading import load_settings
from kernapay.core import logs
from kernapay.core.gc import frozen_start
from kernapay.core.limits import close_stalled_connections
from kernapay.core.parent_watch import watch_parent

_log = structlog.get_logger("kernapay.asgi")
# Until a minute has passed: a start may take long on a busy machine.
_SEARCH_SECONDS: Final = 0.01
_SEARCHES: Final = 6000


def app() -> ASGIApp:
    """Return the application. End the process with code 1, and a line in the log, if it cannot be built."""
    logs.catch_unhandled()
    try:
        # After a `kill -9` of `kernapay serve`, its workers must stop too, or they would keep its port.
        watch_parent()
        with frozen_start():
            settings = load_settings()
            application = create_app(settings)
    except Exception as error:
        # The process was forked: its parent's library would print the traceback as plain text.
        _log.critical("start_failed", error=type(error).__name__, exc_info=error)
        sys.exit(1)
    return _Guarded(application, settings.send_timeout.total_seconds())


class _Guarded:
    """Let the kernel close stalled connections. The server makes its listener after the application has started."""

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self._app = app
        self._seconds = seconds
        self._search: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._search is None:
            # The first scope is that of the lifespan.
            self._search = asyncio.get_running_loop().create_task(self._limit_listeners())
        await self._app(scope, receive, send)

    async def _limit_listeners(self) -> None:
        for _ in range(_SEARCHES):
            if close_stalled_connections(self._seconds):
                return
            await asyncio.sleep(_SEARCH_SECONDS)
        _log.warning("stalled_connections_stay", fix="end them in the proxy before this service")
