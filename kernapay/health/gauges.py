"""The gauges that each call of `/metrics` reads: of the queues, the stores and each slice."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import structlog

from kernapay import __version__
from kernapay.core.errors import Unavailable
from kernapay.core.metrics import GaugeMetricFamily, GaugeSource
from kernapay.storage.cache import Cache
from kernapay.storage.mongo import Mongo
from kernapay.storage.queue import Queue
from kernapay.storage.queue_rules import Depth

_log = structlog.get_logger("kernapay.health")
STORE_SECONDS: Final = 3
"""How long a store may take to answer."""


async def read_stores(mongo: Mongo, cache: Cache) -> list[GaugeMetricFamily]:
    """Return whether this process reaches its stores, and its version."""
    try:
        async with asyncio.timeout(STORE_SECONDS):
            await mongo.ping()
        is_up = True
    except (Unavailable, TimeoutError):
        is_up = False
    version = GaugeMetricFamily(
        "kernapay_build_info", "1, with the version of KernaPay", labels=("version",)
    )
    version.add_metric((__version__,), 1)
    return [
        version,
        GaugeMetricFamily("kernapay_mongodb_up", "1 while a primary of MongoDB answers", is_up),
        GaugeMetricFamily("kernapay_redis_up", "1 while the cache uses Redis", cache.is_up),
    ]


async def read_depths(queues: Sequence[Queue[Any]]) -> list[tuple[str, Depth]]:
    """Return the depth of each queue by its name. Stop if MongoDB does not answer."""
    depths: list[tuple[str, Depth]] = []
    for queue in queues:
        try:
            async with asyncio.timeout(STORE_SECONDS):
                depths.append((queue.name, await queue.depth()))
        except (Unavailable, TimeoutError):
            break  # without MongoDB, whoever asks still gets the rest
        except Exception as error:
            _log.error("queue_not_counted", queue=queue.name, exc_info=error)
    return depths


async def queue_depths(queues: Sequence[Queue[Any]]) -> list[GaugeMetricFamily]:
    """Return how much work is due and parked in each queue. Stop if MongoDB does not answer."""
    due = GaugeMetricFamily(
        "kernapay_queue_due", "Rows that are due, counted up to 10,000", labels=("queue",)
    )
    oldest = GaugeMetricFamily(
        "kernapay_queue_oldest_seconds", "How long the oldest has been due", labels=("queue",)
    )
    parked = GaugeMetricFamily(
        "kernapay_queue_parked",
        "Rows that were given up and wait for a person, counted up to 10,000",
        labels=("queue",),
    )
    for name, depth in await read_depths(queues):
        due.add_metric((name,), depth.due)
        oldest.add_metric((name,), depth.oldest_seconds)
        parked.add_metric((name,), depth.parked)
    return [due, oldest, parked]


async def read_gauges(sources: Sequence[GaugeSource]) -> list[GaugeMetricFamily]:
    """Return the numbers of every source. Stop if MongoDB does not answer."""
    families: list[GaugeMetricFamily] = []
    for source in sources:
        try:
            async with asyncio.timeout(STORE_SECONDS):
                families += await source.gauges()
        except (Unavailable, TimeoutError):
            break  # without MongoDB, the scrape still returns the other metrics
        except Exception as error:
            _log.error("gauge_not_read", source=type(source).__name__, exc_info=error)
    return families
