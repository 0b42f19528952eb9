"""The factory that Granian calls in each worker."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from litestar.types import ASGIApp, Receive, Scope, Send

from kernapay.app import create_app
from kernapay.bootstrap.services import Services
from kernapay.config.loading import load_settings
from kernapay.core import logs
from kernapay.core.gc import frozen_start
from kernapay.core.limits import close_stalled_connections
from kernapay.core.parent_watch import watch_parent
from kernapay.core.stop_signals import call_before_stop

_log = structlog.get_logger("kernapay.asgi")
# Until a minute has passed: a start may take long on a busy machine.
_SEARCH_SECONDS: Final = 0.01
_SEARCHES: Final = 6000
# Granian fails if connections end at the moment at which it begins to stop.
_STREAMS_END_AFTER: Final = 0.5


def app() -> ASGIApp:
    """Return the application. End the process with code 1, and a line in the log, if it cannot be built."""
    logs.catch_unhandled()
    try:
        # After a `kill -9` of `kernapay serve`, its workers must stop too, or they would keep its port.
        watch_parent()
        with frozen_start():
            settings = load_settings()
            services = Services(settings)
            application = create_app(settings, services)
    except Exception as error:
        # The process was forked: its parent's library would print the traceback as plain text.
        _log.critical("start_failed", error=type(error).__name__, exc_info=error)
        sys.exit(1)
    return _Guarded(application, settings.send_timeout.total_seconds(), services.watcher.end_all)


class _Guarded:
    """Let the kernel close stalled connections, and end live streams when the process is to stop.

    The server makes its listener after the application has started, and stops only when all connections have ended.
    """

    def __init__(self, app: ASGIApp, seconds: float, end_streams: Callable[[], None]) -> None:
        self._app = app
        self._seconds = seconds
        self._end_streams = end_streams
        self._search: asyncio.Task[None] | None = None

    # No coroutine of its own: it returns the application's.
    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if self._search is None:
            # The first scope is that of the lifespan.
            self._search = asyncio.get_running_loop().create_task(self._limit_listeners())
            call_before_stop(self._end_streams, _STREAMS_END_AFTER)
        return self._app(scope, receive, send)

    async def _limit_listeners(self) -> None:
        for _ in range(_SEARCHES):
            if close_stalled_connections(self._seconds):
                return
            await asyncio.sleep(_SEARCH_SECONDS)
        _log.warning("stalled_connections_stay", fix="end them in the proxy before this service")
