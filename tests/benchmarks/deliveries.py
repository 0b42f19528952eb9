"""How many deliveries a worker makes in a second, and how late they are: `python -m tests.benchmarks.deliveries`.

One worker sends to many endpoints, of which one never answers and one refuses everything. Events are stored at a steady
rate, as the relay stores them. The exit code is 0 if the others get theirs in step: as fast as they are stored, and
99 of 100 within a second.
"""

import asyncio
import json
import ssl
import sys
import tempfile
from contextlib import ExitStack, suppress
from datetime import timedelta
from itertools import cycle
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import click
from bson import ObjectId

from kernapay.core.clock import now
from kernapay.core.limits import raise_open_files
from kernapay.devstack.ports import HOST
from kernapay.devstack.process import Process
from kernapay.devstack.servers import MongoServer
from tests.aliases import Store
from tests.benchmarks.processes import cpu_seconds
from tests.benchmarks.waiting import compare_payments
from tests.certificates import certificate
from tests.clusters.nodes import RedisNode
from tests.databases import open_migrated_store
from tests.deliveries.field import Field
from tests.environment import api_environment
from tests.stack import SandboxServer, Worker

_LIMIT_SECONDS: Final = 1.0
_TURN_SECONDS: Final = 0.1
_WARM_UP_SECONDS: Final = 3
# After the last event was stored.
_DRAIN_SECONDS: Final = 10.0
_NAME: Final = "endpoints"
_HANGING: Final = "/hanging"
_REFUSING: Final = "/refusing"


class Endpoints:
    """The systems of many businesses in one server, as fast as it can be: it notes how late each event is."""

    def __init__(self) -> None:
        self.late: list[float] = []
        # What was stored before is not looked at: it was to warm up.
        self.since = 0.0
        self.requests: dict[str, int] = {}
        self.more = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                path = head.split(b" ", 2)[1].decode()
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                body = await reader.readexactly(length)
                self.requests[path] = self.requests.get(path, 0) + 1
                if path == _HANGING:
                    await asyncio.sleep(3600)
                status = b"503 Unavailable" if path == _REFUSING else b"200 OK"
                stored = json.loads(body)["stored"]
                if path != _REFUSING and stored >= self.since:
                    self.late.append(perf_counter() - stored)
                    self.more.set()
                writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\n\r\nok")
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            return  # the sender has gone, or the benchmark has ended
        finally:
            writer.close()


def _store(store: Store, endpoint_ids: list[str]) -> None:
    """Store an event for each of these endpoints, with its delivery."""
    at = now()
    events, deliveries = [], []
    for endpoint in endpoint_ids:
        source = ObjectId()
        event_id = f"evt_{source}_0_0a1b2c3d"
        common = {
            "type": "payment.succeeded",
            "subject": f"PAY_{source}",
            "seq": 0,
            "createdAt": at,
        }
        body = json.dumps({"stored": perf_counter(), "data": "x" * 1000}).encode()
        events.append({**common, "_id": event_id, "at": at, "bodies": {"1": body}})
        due = {"state": "pending", "nextAt": at, "attempts": 0}
        ids = {"_id": f"{event_id}:{endpoint}", "event": event_id, "endpoint": endpoint}
        deliveries.append({**common, **due, **ids})
    store.events.insert_many(events)
    store.deliveries.insert_many(deliveries)


async def _measure(
    store: Store,
    worker: Process,
    mongod: Process,
    context: ssl.SSLContext | None,
    *,
    rate: int,
    seconds: int,
    count: int,
) -> bool:
    endpoints = Endpoints()
    server = await asyncio.start_server(endpoints.serve, HOST, 0, backlog=1000, ssl=context)
    scheme = "https" if context else "http"
    url = f"{scheme}://{HOST}:{server.sockets[0].getsockname()[1]}"
    field = Field(store, now)
    paths = [*(f"/{number}" for number in range(count - 2)), _HANGING, _REFUSING]
    ids = [field.endpoint(url + path) for path in paths]
    turns = cycle(ids)
    expected = 0
    began = perf_counter()
    for turn in range(int((seconds + _WARM_UP_SECONDS) / _TURN_SECONDS)):
        if turn == int(_WARM_UP_SECONDS / _TURN_SECONDS):
            endpoints.late.clear()
            expected, began, cpu = 0, perf_counter(), [cpu_seconds(worker), cpu_seconds(mongod)]
            endpoints.since = began
        batch = [next(turns) for _ in range(int(rate * _TURN_SECONDS))]
        expected += sum(each not in ids[-2:] for each in batch)
        await asyncio.to_thread(_store, store, batch)
        due = began + (turn + 1) * _TURN_SECONDS
        if turn >= int(_WARM_UP_SECONDS / _TURN_SECONDS):
            due -= _WARM_UP_SECONDS
        await asyncio.sleep(max(0.0, due - perf_counter()))
    stored = perf_counter() - began
    in_step = len(endpoints.late)
    with suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            while len(endpoints.late) < expected:
                endpoints.more.clear()
                await endpoints.more.wait()
    took = perf_counter() - began
    server.close()
    late = sorted(endpoints.late)
    p50, p99 = (late[int(len(late) * share)] for share in (0.5, 0.99))
    click.echo(f"{rate} events a second for {stored:.1f} s, to {count} endpoints:")
    click.echo(f"  one hangs ({endpoints.requests.get(_HANGING, 0)} requests), one refuses")
    click.echo(
        f"  ({endpoints.requests.get(_REFUSING, 0)}), and the others got {len(late)} of {expected},"
    )
    click.echo(f"  {in_step} of them when the last was stored: {len(late) / took:.0f} a second")
    click.echo(
        f"from the database to the endpoint: p50 {p50 * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms"
    )
    used = [
        cpu_seconds(process) - before for process, before in zip((worker, mongod), cpu, strict=True)
    ]
    click.echo(f"CPU: worker {used[0]:.1f} s, mongod {used[1]:.1f} s with the storing;")
    click.echo(f"  {len(late) / used[0]:.0f} deliveries for a CPU second of the worker")
    return len(late) >= expected and p99 < _LIMIT_SECONDS


@click.command()
@click.option("--rate", type=click.IntRange(10, 10_000), default=1000, show_default=True)
@click.option("--seconds", type=click.IntRange(1, 600), default=20, show_default=True)
@click.option("--endpoints", type=click.IntRange(3, 500), default=50, show_default=True)
@click.option("--tls", is_flag=True, help="Send by HTTPS, as to all endpoints on the Internet.")
@click.option(
    "--waiting",
    type=click.IntRange(1000, 10_000_000),
    help="Let so many deliveries wait, and measure payments instead: see tests/benchmarks/waiting.py.",
)
def main(rate: int, seconds: int, endpoints: int, waiting: int | None, *, tls: bool) -> None:
    """Measure deliveries."""
    raise_open_files()
    if waiting is not None:
        with tempfile.TemporaryDirectory(prefix="kernapay-waiting-") as folder:
            sys.exit(0 if compare_payments(Path(folder), waiting) else 1)
    with tempfile.TemporaryDirectory(prefix="kernapay-deliveries-") as folder, ExitStack() as stack:
        home = Path(folder)
        mongo = stack.enter_context(MongoServer(home / "mongo"))
        redis = stack.enter_context(RedisNode(home / "redis"))
        gateway = stack.enter_context(SandboxServer(home))
        url = mongo.database_url("deliveries")
        store = stack.enter_context(open_migrated_store(url))
        context = certificate(home, _NAME, timedelta(days=1), HOST) if tls else None
        changes: dict[str, Any] = {"DELIVERY_ALLOWED_HOSTS": HOST}
        if tls:
            changes["SSL_CERT_FILE"] = str(home / f"{_NAME}.pem")
        worker = Worker(
            home / "worker", api_environment(url, redis.url, gateway.url, home, **changes)
        )
        worker.start()
        stack.callback(worker.kill)
        is_within = asyncio.run(
            _measure(store, worker, mongo, context, rate=rate, seconds=seconds, count=endpoints)
        )
    sys.exit(0 if is_within else 1)


if __name__ == "__main__":
    main()
