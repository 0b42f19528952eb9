"""Health and metrics."""

import asyncio
import hmac
from typing import Annotated, Any

from litestar import Controller, MediaType, Request, Response, get
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec
from msgspec import Meta, Struct

from kernapay.core import metrics
from kernapay.core.cache import Cache
from kernapay.core.errors import NotFound, Unauthenticated, Unavailable
from kernapay.core.mongo import Mongo
from kernapay.security.authentication import PUBLIC
from kernapay.settings import Settings


class Liveness(Struct):
    """The process serves."""

    status: str = "ok"


class Readiness(Struct):
    """`redis: down` makes answers slower, not wrong, so the service stays ready."""

    status: Annotated[str, Meta(examples=["ready"])]
    mongodb: Annotated[str, Meta(examples=["up"])]
    redis: Annotated[str, Meta(examples=["up"])]


class OpsController(Controller):
    tags = ["Operations"]
    opt = {PUBLIC: True}
    security = [{}]

    @get("/health/live")
    async def live(self) -> Liveness:
        """Answer as long as the process serves at all."""
        return Liveness()

    @get(
        "/health/ready",
        responses={503: ResponseSpec(Readiness, description="The database cannot be reached.")},
    )
    async def ready(
        self, mongo: NamedDependency[Mongo], cache: NamedDependency[Cache]
    ) -> Response[Readiness]:
        """Tell whether requests can be served; 503 while the database cannot be reached."""
        try:
            async with asyncio.timeout(3):
                await mongo.ping()
            database = "up"
        except (Unavailable, TimeoutError):
            database = "down"
        return Response(
            Readiness(
                status="ready" if database == "up" else "not ready",
                mongodb=database,
                redis="up" if cache.up else "down",
            ),
            status_code=200 if database == "up" else 503,
        )

    @get("/metrics", include_in_schema=False)
    async def metrics(
        self, request: Request[Any, Any, Any], settings: NamedDependency[Settings]
    ) -> Response[bytes]:
        if settings.metrics_token is None:
            raise NotFound("Set METRICS_TOKEN to switch metrics on.")
        expected = f"Bearer {settings.metrics_token.get_secret_value()}".encode()
        given = request.headers.get("authorization", "").encode()
        if not hmac.compare_digest(expected, given):
            raise Unauthenticated("Send the metrics token: Authorization: Bearer <token>.")
        return Response(metrics.exposition(), media_type=metrics.CONTENT_TYPE or MediaType.TEXT)
