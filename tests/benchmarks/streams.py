"""What idle streams cost, and how soon a browser learns that it was paid: `python -m tests.benchmarks.streams`.

One worker holds the streams. With them open, people ask for the status of payments, and payments are settled by
webhooks. The exit code is 0 when memory and times are within the limits.
"""

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable
from contextlib import ExitStack, asynccontextmanager
from itertools import cycle, islice
from pathlib import Path
from time import perf_counter
from typing import Final

import click

from kernapay.core.limits import raise_open_files
from kernapay.devstack.ports import HOST
from kernapay.devstack.servers import MongoServer
from tests.actors import PAYMENTS, Actor, People
from tests.aliases import Json
from tests.clusters.nodes import RedisNode
from tests.databases import open_migrated_store
from tests.environment import api_environment
from tests.factories import event_body, event_headers, gateway_payment
from tests.stack import WEBHOOK_PATH, Api, SandboxServer

_LIMIT_MB: Final = 100.0
_LIMIT_MS: Final = 100.0
_LIMIT_STATUS_MS: Final = 50.0
_ASKING: Final = 8
_ASKED: Final = 250
"""By each of those who ask for a status."""
_ASK_PAUSE: Final = 0.02
# The idle streams watch so many payments, several each.
_WATCHED: Final = 250
_OPENING: Final = 64


class Stream:
    """A client of one stream, as small as it can be."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    async def read_until(self, text: bytes) -> None:
        await self._reader.readuntil(text)


async def _open(port: int, payment: Json) -> Stream:
    reader, writer = await asyncio.open_connection(HOST, port, limit=4096)
    path = f"{PAYMENTS}/{payment['referenceId']}/events"
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
    stream = Stream(reader, writer)
    await stream.read_until(b"event: state\n")
    return stream


@asynccontextmanager
async def _idle(port: int, payments: list[Json], count: int) -> AsyncIterator[list[Stream]]:
    streams: list[Stream] = []
    waiting = islice(cycle(payments), count)

    async def open_some() -> None:
        for payment in waiting:
            streams.append(await _open(port, payment))

    await asyncio.gather(*(open_some() for _ in range(_OPENING)))
    try:
        yield streams
    finally:
        for stream in streams:
            stream.writer.close()


async def _settle(port: int, payment: Json) -> tuple[float, float]:
    """Settle a payment that is watched. Return when the event came: after the webhook began, and after its answer."""
    stream = await _open(port, payment)
    body = event_body("payment.captured", payment=gateway_payment(payment["orderId"]))
    headers = {**event_headers(body), "Host": HOST, "Content-Length": str(len(body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    reader, writer = await asyncio.open_connection(HOST, port)
    began = perf_counter()

    async def tell() -> float:
        writer.write(f"POST {WEBHOOK_PATH} HTTP/1.1\r\n{head}\r\n".encode() + body)
        answer = await reader.readuntil(b"\r\n")
        assert b" 200 " in answer, answer
        return perf_counter()

    async def hear() -> float:
        await stream.read_until(b'"status":"success"')
        return perf_counter()

    answered, heard = await asyncio.gather(tell(), hear())
    writer.close()
    stream.writer.close()
    return (heard - began) * 1000, (heard - answered) * 1000


async def _ask(port: int, payments: list[Json]) -> list[float]:
    """Ask for the status of payments over a few connections. Return how long each answer took, in milliseconds."""
    times: list[float] = []

    async def ask(references: Iterable[str]) -> None:
        reader, writer = await asyncio.open_connection(HOST, port)
        for reference in references:
            begin = perf_counter()
            path = f"{PAYMENTS}/status/{reference}"
            writer.write(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            assert b" 200 " in head.split(b"\r\n")[0], head
            await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
            times.append((perf_counter() - begin) * 1000)
            await asyncio.sleep(_ASK_PAUSE)
        writer.close()

    references = cycle([payment["referenceId"] for payment in payments])
    await asyncio.gather(*(ask(list(islice(references, _ASKED))) for _ in range(_ASKING)))
    return times


def _memory(api: Api) -> float:
    """Return the resident memory of the worker in megabytes (10^6 bytes)."""
    (worker,) = Path(f"/proc/{api.process.pid}/task/{api.process.pid}/children").read_text().split()
    for line in Path(f"/proc/{worker}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise AssertionError(line)


def _threads(api: Api) -> int:
    (worker,) = Path(f"/proc/{api.process.pid}/task/{api.process.pid}/children").read_text().split()
    return len(list(Path(f"/proc/{worker}/task").iterdir()))


def _percentile(times: list[float], share: float) -> float:
    return sorted(times)[min(len(times) - 1, int(len(times) * share))]


async def _measure(api: Api, user: Actor, count: int, settled: int, rate: float) -> bool:
    watched = [user.new_payment() for _ in range(_WATCHED)]
    to_settle = [user.new_payment() for _ in range(settled)]
    # What the first of everything costs is no part of a stream.
    async with _idle(api.port, watched, 50):
        await _settle(api.port, user.new_payment())
    await asyncio.sleep(2)
    alone = await _ask(api.port, watched)
    before, threads = _memory(api), _threads(api)
    async with _idle(api.port, watched, count):
        await asyncio.sleep(20)  # each has had a heartbeat
        grown = _memory(api) - before
        click.echo(f"{count} idle streams: {grown:.1f} MB more, {grown / count * 1000:.1f} kB each")
        click.echo(f"threads: {threads} before, {_threads(api)} with them")
        beside = await _ask(api.port, watched)
        tasks = []
        for payment in to_settle:
            tasks.append(asyncio.create_task(_settle(api.port, payment)))
            await asyncio.sleep(1 / rate)
        times = await asyncio.gather(*tasks)
    from_begin, from_answer = ([each[n] for each in times] for n in (0, 1))
    for what, found in (("sending of the webhook", from_begin), ("its answer", from_answer)):
        p50, p99 = _percentile(found, 0.5), _percentile(found, 0.99)
        click.echo(f"from the {what} to the browser: p50 {p50:.1f} ms, p99 {p99:.1f} ms")
    for what, found in (("without streams", alone), ("with them", beside)):
        p50, p99 = _percentile(found, 0.5), _percentile(found, 0.99)
        click.echo(f"a status, {what}: p50 {p50:.1f} ms, p99 {p99:.1f} ms")
    return (
        grown <= _LIMIT_MB
        and _percentile(from_begin, 0.99) < _LIMIT_MS
        and _percentile(beside, 0.99) < _LIMIT_STATUS_MS
    )


@click.command()
@click.option("--streams", type=click.IntRange(1, 20_000), default=5000, show_default=True)
@click.option("--settled", type=click.IntRange(1, 5000), default=500, show_default=True)
@click.option("--rate", type=click.FloatRange(1), default=25.0, show_default=True)
def main(streams: int, settled: int, rate: float) -> None:
    """Measure streams."""
    raise_open_files()
    with tempfile.TemporaryDirectory(prefix="kernapay-streams-") as folder, ExitStack() as stack:
        home = Path(folder)
        mongo = stack.enter_context(MongoServer(home / "mongo"))
        redis = stack.enter_context(RedisNode(home / "redis"))
        gateway = stack.enter_context(SandboxServer(home))
        url = mongo.database_url("streams")
        store = stack.enter_context(open_migrated_store(url))
        env = api_environment(
            url,
            redis.url,
            gateway.url,
            home,
            LIVE_STREAMS=str(streams + settled),
            LIVE_STREAMS_PER_CLIENT="30000",
        )
        api = stack.enter_context(Api(home, env))
        user = People(api.client, store).new()
        is_within = asyncio.run(_measure(api, user, streams, settled, rate))
    sys.exit(0 if is_within else 1)


if __name__ == "__main__":
    main()
