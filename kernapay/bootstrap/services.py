"""The object graph. Each object is built by a cached property when it is first used."""

import sys
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager
from functools import cached_property
from inspect import isawaitable
from typing import Final

import structlog
from litestar.di import Provide

from kernapay.bootstrap.console import Console
from kernapay.config.settings import Settings
from kernapay.core import logs
from kernapay.core.clock import Clock, now
from kernapay.core.errors import Unavailable
from kernapay.core.metrics import GaugeSource
from kernapay.gateway.base import GatewayError
from kernapay.payments.gateway_account import ADVICE
from kernapay.storage.cached import cached
from kernapay.storage.redis import RedisFailure
from kernapay.web.handlers import Constant
from kernapay.webhooks.service import MARKS

_log = structlog.get_logger("kernapay.services")
# In this order: what works on requests, what it works with, the stores.
_CLOSING: Final = (
    ("watcher", "close"),
    ("payment_signals", "close"),
    ("delivery_signals", "close"),
    ("process_metrics", "close"),
    ("delivery_dispatcher", "close"),
    ("delivery_transport", "close"),
    ("ordering", "drain"),
    ("background", "drain"),
    ("outbox", "close"),
    ("schema_watch", "close"),
    ("cache", "close"),
    ("redis", "close"),
    ("payment_gateway", "close"),
    ("call_journal", "close"),
    ("hashing_pool", "close"),
    ("file_pool", "close"),
    ("mongo", "close"),
)


class Services(Console):
    """All objects of the application. The name of a property is also its injection key."""

    def dependencies(self, names: Collection[str]) -> dict[str, Provide]:
        """Return those of these objects that exist, by their injection keys."""
        # Litestar looks at every one of them for every route: all would make half of the time that a start takes.
        return {name: Constant(getattr(self, name)) for name in _names() if name in names}

    def metrics_dependencies(self, sources: tuple[GaugeSource, ...]) -> dict[str, Provide]:
        """Return what `/metrics` needs, with these sources of gauges."""
        objects = {
            "settings": self.settings,
            "mongo": self.mongo,
            "cache": self.cache,
            "queues": self.queues,
            "gauge_sources": sources,
        }
        return {name: Constant(value) for name, value in objects.items()}

    async def open(self) -> None:
        """Connect. If a server is down, start anyway: `/health/ready` reports it."""
        self.mongo.connect()
        await self.cache.start()

    async def empty_caches(self) -> None:
        """Empty the cache after the database was replaced. Raises Unavailable without Redis."""
        try:
            await self.redis.delete_prefixed([*sorted(cached.prefixes), MARKS])
        except RedisFailure as error:
            raise Unavailable(
                "The caches cannot be emptied: Redis cannot be reached. Start it, then repeat the command."
            ) from error

    async def report_stores(self) -> None:
        """Log the address of MongoDB, and whether it can be reached. The cache does so for Redis."""
        try:
            await self.mongo.ping()
        except Unavailable as error:
            _log.warning(
                "mongodb_unreachable",
                address=self.mongo.address,
                error=type(error.__cause__ or error).__name__,
                detail=error.detail,
                fix="start MongoDB, or correct MONGODB_URL",
            )
        else:
            _log.info("mongodb_ready", address=self.mongo.address)

    async def report_account(self) -> None:
        """Log that the gateway's keys belong to another account or mode than the payments that are stored."""
        try:
            change = await self.gateway_account.find_change()
        except (GatewayError, Unavailable) as error:
            _log.info("gateway_account_not_checked", code=error.code)
            return
        if change is not None:
            _log.error("gateway_account_changed", problem=f"The keys {change}.", fix=ADVICE)

    async def close(self) -> None:
        """Finish running work, then close every connection and pool that was used."""
        for name, method in _CLOSING:
            if name in vars(self):
                result = getattr(vars(self)[name], method)()
                if isawaitable(result):
                    await result


def _names() -> Iterator[str]:
    yield "settings"
    for name in dir(Services):
        if isinstance(getattr(Services, name), cached_property):
            yield name


@asynccontextmanager
async def open_services(settings: Settings, *, clock: Clock = now) -> AsyncIterator[Services]:
    """Build and open everything for a command. Only warnings are logged, to standard error.

    Raises NotMigrated, Unavailable.
    """
    logs.configure("WARNING", sys.stderr)
    services = Services(settings, clock=clock, process="command")
    await services.open()
    try:
        await services.schema_watch.check_before_start()
        yield services
    finally:
        await services.close()
