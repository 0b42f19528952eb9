"""Health and metrics."""

import asyncio
import hmac
from typing import Annotated, Any

from litestar import Controller, MediaType, Request, Response
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec
from msgspec import Meta, Struct

from kernapay import __version__
from kernapay.config.settings import Settings
from kernapay.core import metrics
from kernapay.core.errors import NotFound, Unauthenticated, Unavailable
from kernapay.core.metrics import GaugeSource, publish_tallies
from kernapay.health.gauges import (
    STORE_SECONDS,
    queue_depths,
    read_depths,
    read_gauges,
    read_stores,
)
from kernapay.security.authentication import PUBLIC
from kernapay.security.guards import HasRole, IsUnscoped
from kernapay.security.principal import Role
from kernapay.storage.cache import Cache
from kernapay.storage.mongo import Mongo
from kernapay.storage.queue import Queue
from kernapay.storage.schema_watch import SchemaWatch
from kernapay.web.handlers import get


class Liveness(Struct):
    """The process answers requests."""

    status: str = "ok"


class Readiness(Struct):
    """Whether requests can be served. The service is ready with `redis: down`: answers are slower, not wrong."""

    status: Annotated[str, Meta(examples=["ready"])]
    mongodb: Annotated[str, Meta(examples=["up"])]
    redis: Annotated[str, Meta(examples=["up"])]
    reason: Annotated[str, Meta(examples=["not applied: 0011_indexes_that_serve"])] | None = None
    """Why requests cannot be served. Null while they can."""


class QueueHealth(Struct, rename="camel"):
    """The work of a queue. `due` and `parked` are counted up to 10,000. Parked work waits for a person."""

    name: Annotated[str, Meta(examples=["inbox"])]
    due: Annotated[int, Meta(examples=[0])]
    oldest_seconds: Annotated[float, Meta(examples=[0.0])]
    parked: Annotated[int, Meta(examples=[0])]


class HealthReport(Readiness, rename="camel", kw_only=True):
    """Whether the stores answer this process, and what waits in each queue that could be counted."""

    version: Annotated[str, Meta(examples=[__version__])]
    queues: list[QueueHealth]


class HealthController(Controller):
    tags = ["Operations"]
    opt = {PUBLIC: True}
    security = [{}]

    @get("/health/live")
    async def live(self) -> Liveness:
        """Return 200 while the process answers requests, whatever the state of its stores.

        A supervisor that gets no answer here starts it again. Whether to send it requests, `/health/ready` says.
        """
        return Liveness()

    @get(
        "/health/ready",
        responses={
            503: ResponseSpec(
                Readiness, description="The database cannot be reached, or is not migrated."
            )
        },
    )
    async def ready(
        self,
        mongo: NamedDependency[Mongo],
        cache: NamedDependency[Cache],
        schema_watch: NamedDependency[SchemaWatch],
    ) -> Response[Readiness]:
        """Return whether requests can be served.

        It is 503 while the database cannot be reached, or lacks a migration or an index of this version.
        """
        readiness = await _readiness(mongo, cache, schema_watch)
        return Response(readiness, status_code=503 if readiness.reason else 200)


class HealthReportController(Controller):
    path = "/v1/api/admin/health"
    tags = ["Administration"]
    guards = [HasRole(Role.ADMIN), IsUnscoped()]

    @get()
    async def health_report(
        self,
        mongo: NamedDependency[Mongo],
        cache: NamedDependency[Cache],
        schema_watch: NamedDependency[SchemaWatch],
        queues: NamedDependency[tuple[Queue[Any], ...]],
    ) -> HealthReport:
        """Return whether the stores answer, and how much work is due and parked in each queue."""
        stores = await _readiness(mongo, cache, schema_watch)
        waiting = [
            QueueHealth(name, depth.due, round(depth.oldest_seconds, 3), depth.parked)
            for name, depth in await read_depths(queues)
        ]
        return HealthReport(
            status=stores.status,
            mongodb=stores.mongodb,
            redis=stores.redis,
            reason=stores.reason,
            version=__version__,
            queues=waiting,
        )


async def _readiness(mongo: Mongo, cache: Cache, schema_watch: SchemaWatch) -> Readiness:
    try:
        async with asyncio.timeout(STORE_SECONDS):
            database, reason = "up", await schema_watch.check()
            if reason is None:
                await mongo.ping()
    except (Unavailable, TimeoutError):
        database, reason = "down", "the database cannot be reached"
    return Readiness(
        status="not ready" if reason else "ready",
        mongodb=database,
        redis="up" if cache.is_up else "down",
        reason=reason,
    )


class MetricsController(Controller):
    opt = {PUBLIC: True}

    @get("/metrics", include_in_schema=False)
    async def metrics(
        self,
        request: Request[Any, Any, Any],
        settings: NamedDependency[Settings],
        mongo: NamedDependency[Mongo],
        cache: NamedDependency[Cache],
        queues: NamedDependency[tuple[Queue[Any], ...]],
        gauge_sources: NamedDependency[tuple[GaugeSource, ...]],
    ) -> Response[bytes]:
        if settings.metrics_token is None:
            raise NotFound("Metrics are off. Set METRICS_TOKEN to switch them on.")
        expected = f"Bearer {settings.metrics_token.get_secret_value()}".encode()
        actual = ", ".join(request.headers.getall("authorization", [])).encode()
        if not hmac.compare_digest(expected, actual):
            raise Unauthenticated("Send METRICS_TOKEN as Authorization: Bearer <token>.")
        families = [
            *await read_stores(mongo, cache),
            *await queue_depths(queues),
            *await read_gauges(gauge_sources),
        ]
        publish_tallies()
        # With many workers there is much to add up: not on the event loop.
        body = await asyncio.to_thread(metrics.exposition, families)
        return Response(body, media_type=metrics.CONTENT_TYPE or MediaType.TEXT)
