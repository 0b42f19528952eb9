"""Health and metrics."""

import asyncio
import hmac
from collections.abc import Sequence
from typing import Annotated, Any, Final

import structlog
from litestar import Controller, MediaType, Request, Response, get
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec
from msgspec import Meta, Struct

from kernapay.config.settings import Settings
from kernapay.core import metrics
from kernapay.core.errors import NotFound, Unauthenticated, Unavailable
from kernapay.core.metrics import GaugeMetricFamily, Measurement
from kernapay.security.authentication import PUBLIC
from kernapay.storage.cache import Cache
from kernapay.storage.mongo import Mongo
from kernapay.storage.queue import Queue
from kernapay.storage.schema_watch import SchemaWatch

_log = structlog.get_logger("kernapay.health")
_STORE_SECONDS: Final = 3


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


class HealthController(Controller):
    tags = ["Operations"]
    opt = {PUBLIC: True}
    security = [{}]

    @get("/health/live")
    async def live(self) -> Liveness:
        """Return 200 while the process answers requests, whatever the state of its stores."""
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
        try:
            async with asyncio.timeout(_STORE_SECONDS):
                database, reason = "up", await schema_watch.check()
                if reason is None:
                    await mongo.ping()
        except (Unavailable, TimeoutError):
            database, reason = "down", "the database cannot be reached"
        return Response(
            Readiness(
                status="not ready" if reason else "ready",
                mongodb=database,
                redis="up" if cache.is_up else "down",
                reason=reason,
            ),
            status_code=503 if reason else 200,
        )

    @get("/metrics", include_in_schema=False)
    async def metrics(
        self,
        request: Request[Any, Any, Any],
        settings: NamedDependency[Settings],
        queues: NamedDependency[tuple[Queue[Any], ...]],
        measurements: NamedDependency[tuple[Measurement, ...]],
    ) -> Response[bytes]:
        if settings.metrics_token is None:
            raise NotFound("Metrics are off. Set METRICS_TOKEN to switch them on.")
        expected = f"Bearer {settings.metrics_token.get_secret_value()}".encode()
        actual = ", ".join(request.headers.getall("authorization", [])).encode()
        if not hmac.compare_digest(expected, actual):
            raise Unauthenticated("Send METRICS_TOKEN as Authorization: Bearer <token>.")
        families = [*await queue_depths(queues), *await measure(measurements)]
        return Response(
            metrics.exposition(families), media_type=metrics.CONTENT_TYPE or MediaType.TEXT
        )


async def queue_depths(queues: Sequence[Queue[Any]]) -> list[GaugeMetricFamily]:
    """Return how much work is due in each queue. Stop if MongoDB does not answer."""
    due = GaugeMetricFamily(
        "kernapay_queue_due", "Rows that are due, counted up to 10,000", labels=("queue",)
    )
    oldest = GaugeMetricFamily(
        "kernapay_queue_oldest_seconds", "How long the oldest has been due", labels=("queue",)
    )
    for queue in queues:
        try:
            async with asyncio.timeout(_STORE_SECONDS):
                depth = await queue.depth()
        except (Unavailable, TimeoutError):
            break  # without MongoDB, the scrape still returns the other metrics
        except Exception as error:
            _log.error("queue_not_counted", queue=queue.name, exc_info=error)
            continue
        due.add_metric((queue.name,), depth.due)
        oldest.add_metric((queue.name,), depth.oldest_seconds)
    return [due, oldest]


async def measure(measurements: Sequence[Measurement]) -> list[GaugeMetricFamily]:
    """Return the gauges that are read from the stores. Stop if MongoDB does not answer."""
    families = []
    for each in measurements:
        try:
            async with asyncio.timeout(_STORE_SECONDS):
                value = await each.read()
        except (Unavailable, TimeoutError):
            break
        except Exception as error:
            _log.error("measurement_failed", metric=each.name, exc_info=error)
            continue
        families.append(GaugeMetricFamily(each.name, each.meaning, value=value))
    return families
