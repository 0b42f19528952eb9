"""What calls cost a server and its MongoDB."""

import asyncio
import time
from collections.abc import Sequence
from statistics import median
from typing import Final

from tests.aliases import Store
from tests.benchmarks.api import machine
from tests.benchmarks.api.bench import WrongAnswers
from tests.benchmarks.api.http_client import Connection
from tests.benchmarks.api.stack import Watch
from tests.benchmarks.growth.requests import GrowthRequests
from tests.benchmarks.growth.results import Round
from tests.benchmarks.growth.site import Site
from tests.benchmarks.growth.works import Work

_WARM_UP: Final = 10


class Meter:
    """Counts what a server and its mongod use from now on."""

    def __init__(self, store: Store, mongod: int, server: Sequence[int]) -> None:
        self._store = store
        self._mongod = mongod
        self._server = server
        # In this order, and the other way round at the end: the question itself is no cost of the calls.
        self._read = self._count_reads()
        self._used = self._processor_seconds()

    def end(self, seconds: Sequence[float], others: float | None = None) -> Round:
        """Return the cost of each of the calls that took so long."""
        server, mongod = self._processor_seconds()
        keys, docs = self._count_reads()
        count = len(seconds)
        return Round(
            p50_ms=median(seconds) * 1000,
            server_us=(server - self._used[0]) / count * 1e6,
            mongod_us=(mongod - self._used[1]) / count * 1e6,
            keys=(keys - self._read[0]) / count,
            docs=(docs - self._read[1]) / count,
            others=others,
        )

    def _count_reads(self) -> tuple[int, int]:
        executed = self._store.command("serverStatus")["metrics"]["queryExecutor"]
        return executed["scanned"], executed["scannedObjects"]

    def _processor_seconds(self) -> tuple[float, float]:
        return machine.cpu_seconds(self._server), machine.cpu_seconds([self._mongod])


def measure(site: Site, requests: GrowthRequests, work: Work, count: int, watch: Watch) -> Round:
    """Send so many requests, one after the other. Raises WrongAnswers."""
    made = work.make(requests, count + _WARM_UP)
    asyncio.run(_send(site, work, made[:_WARM_UP]))
    servers = site.servers
    meter = Meter(site.store, site.mongod, servers.api.family)
    seconds = asyncio.run(_send(site, work, made[_WARM_UP:]))
    return meter.end(seconds, watch.others())


async def _send(site: Site, work: Work, requests: Sequence[bytes]) -> list[float]:
    """Return how long each took."""
    seconds = []
    async with Connection(site.servers.api.port) as connection:
        for request in requests:
            if work.before is not None:
                work.before(site)
            started = time.perf_counter()
            answer = await connection.send(request)
            seconds.append(time.perf_counter() - started)
            if answer.status != work.status:
                text = f"{answer.status} instead of {work.status}: {answer.body[:300]!r}"
                raise WrongAnswers(f"{work.name} with {site.payments:,} payments: {text}")
    return seconds
