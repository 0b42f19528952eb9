"""The optional HTTP port of a worker, with `/metrics` and a health check that fails while a loop hangs."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, Final

import structlog
from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels
from granian.server.embed import Server
from litestar import Controller, Litestar, Response
from litestar.di import NamedDependency, Provide
from msgspec import Meta, Struct

from kernapay.config.settings import Settings
from kernapay.core.heartbeat import Heartbeat
from kernapay.core.log_stream import LogStream
from kernapay.health.controller import MetricsController
from kernapay.web.access_log import AccessLog
from kernapay.web.handlers import get
from kernapay.web.headers import SecurityHeaders
from kernapay.web.middleware import RequestLayer
from kernapay.web.problems import HANDLERS
from kernapay.web.trusted_hosts import TrustedHosts

_log = structlog.get_logger("kernapay.worker")
# Prometheus and a health check keep one each.
_CONNECTIONS: Final = 64


class WorkerLiveness(Struct):
    """Whether every loop of the worker goes on."""

    status: Annotated[str, Meta(examples=["ok"])]
    problems: list[str]
    """What is wrong with each loop that hangs."""


class WorkerHealthController(Controller):
    @get("/health/live")
    async def live(self, heartbeat: NamedDependency[Heartbeat]) -> Response[WorkerLiveness]:
        """Return 200 while every loop gives signs of life, and 503 with the loops that hang."""
        problems = heartbeat.hung_loops()
        return Response(
            WorkerLiveness("hung" if problems else "ok", problems),
            status_code=503 if problems else 200,
        )


def create_worker_app(
    settings: Settings,
    dependencies: Mapping[str, Provide],
    heartbeat: Heartbeat,
    log_lines: LogStream,
) -> Litestar:
    """Return the application. `dependencies` are those of the MetricsController."""
    app = Litestar(
        route_handlers=[MetricsController, WorkerHealthController],
        dependencies={
            **dependencies,
            "heartbeat": Provide(lambda: heartbeat, sync_to_thread=False),
        },
        exception_handlers=HANDLERS,
        openapi_config=None,
        logging_config=None,
        debug=False,
    )
    if settings.allowed_hosts:
        app.asgi_handler = TrustedHosts(app.asgi_handler, settings.allowed_hosts)
    app.asgi_handler = RequestLayer(
        app,
        AccessLog(settings.log_level, log_lines),
        SecurityHeaders(),
        body_seconds=settings.body_timeout.total_seconds(),
        send_seconds=settings.send_timeout.total_seconds(),
    )
    return app


@asynccontextmanager
async def listening(app: Litestar, host: str, port: int) -> AsyncIterator[None]:
    """Serve the application on the event loop of the caller until the block ends."""
    server = Server(
        app,
        address=host,
        port=port,
        interface=Interfaces.ASGINL,
        http=HTTPModes.http1,
        websockets=False,
        backlog=_CONNECTIONS,
        backpressure=_CONNECTIONS,
        # It warns at each start that it is experimental.
        log_level=LogLevels.error,
    )
    serving = asyncio.get_running_loop().create_task(server.serve())
    serving.add_done_callback(_report_end)
    try:
        yield
    finally:
        server.stop()  # type: ignore[no-untyped-call]
        await asyncio.wait([serving])


def _report_end(serving: "asyncio.Task[None]") -> None:
    # Without its port, the worker goes on: that is no reason to leave its work.
    if not serving.cancelled() and (error := serving.exception()) is not None:
        _log.error("worker_port_closed", exc_info=error)
