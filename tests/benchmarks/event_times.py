"""How soon a business learns that it was paid: `python -m tests.benchmarks.event_times`.

Payments are settled by webhooks to one API, and a worker tells an endpoint. The exit code is 0 if 99 of 100 events
arrive within the limit after the webhook was answered. With `--no-redis`, nothing wakes the worker: it looks by itself.
"""

import asyncio
import json
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter
from typing import Final

import click

from kernapay.core.clock import now
from kernapay.devstack.ports import HOST
from kernapay.devstack.process import Process
from kernapay.devstack.servers import MongoServer
from tests.actors import Actor, People
from tests.aliases import Json
from tests.benchmarks.processes import cpu_seconds
from tests.clusters.nodes import RedisNode
from tests.databases import open_migrated_store
from tests.deliveries.field import Field
from tests.environment import api_environment
from tests.factories import event_body, event_headers, gateway_payment
from tests.stack import WEBHOOK_PATH, Api, SandboxServer, Worker

_LIMIT_MS: Final = 100.0
_LIMIT_MS_WITHOUT_REDIS: Final = 2000.0
# Until the events of the new payments have gone.
_SETTLED_SECONDS: Final = 5
_PATIENCE_SECONDS: Final = 20


class Endpoint:
    """Notes when each payment was first told to be paid."""

    def __init__(self) -> None:
        self.heard: dict[str, float] = {}
        self.more = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                event = json.loads(await reader.readexactly(length))
                if event["type"] == "payment.succeeded":
                    self.heard.setdefault(event["data"]["referenceId"], perf_counter())
                    self.more.set()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            return  # the sender has gone, or the benchmark has ended
        finally:
            writer.close()

    async def hear_all(self, references: list[str]) -> None:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while not self.heard.keys() >= set(references):
                self.more.clear()
                await self.more.wait()


async def _settle(port: int, payment: Json) -> float:
    """Settle a payment by a webhook, and return when that was answered."""
    body = event_body("payment.captured", payment=gateway_payment(payment["orderId"]))
    headers = {**event_headers(body), "Host": HOST, "Content-Length": str(len(body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(f"POST {WEBHOOK_PATH} HTTP/1.1\r\n{head}\r\n".encode() + body)
    answer = await reader.readuntil(b"\r\n")
    assert b" 200 " in answer, answer
    answered = perf_counter()
    writer.close()
    return answered


async def _measure(
    api: Api,
    worker: Process,
    mongod: Process,
    user: Actor,
    field: Field,
    *,
    count: int,
    rate: float,
    limit: float,
) -> bool:
    endpoint = Endpoint()
    server = await asyncio.start_server(endpoint.serve, HOST, 0)
    field.endpoint(f"http://{HOST}:{server.sockets[0].getsockname()[1]}/")
    payments = [await asyncio.to_thread(user.new_payment) for _ in range(count)]
    await asyncio.sleep(_SETTLED_SECONDS)
    began, before = perf_counter(), [cpu_seconds(each) for each in (worker, mongod)]
    tasks = []
    for payment in payments:
        tasks.append(asyncio.create_task(_settle(api.port, payment)))
        await asyncio.sleep(1 / rate)
    answered = await asyncio.gather(*tasks)
    references = [payment["referenceId"] for payment in payments]
    await endpoint.hear_all(references)
    took = perf_counter() - began
    server.close()
    used = [cpu_seconds(each) - at for each, at in zip((worker, mongod), before, strict=True)]
    times = sorted(
        (endpoint.heard[reference] - at) * 1000
        for reference, at in zip(references, answered, strict=True)
    )
    p50, p99 = (times[int(count * share)] for share in (0.5, 0.99))
    click.echo(f"{count} payments, {rate:g} a second: from the answer to the webhook until")
    click.echo(f"  the endpoint hears of it: p50 {p50:.0f} ms, p99 {p99:.0f} ms")
    shares = [f"{100 * each / took:.0f} %" for each in used]
    click.echo(f"of a core: worker {shares[0]}, mongod {shares[1]}")
    return p99 <= limit


@click.command()
@click.option("--payments", type=click.IntRange(1, 5000), default=100, show_default=True)
@click.option("--rate", type=click.FloatRange(0.1), default=10.0, show_default=True)
@click.option("--redis/--no-redis", default=True, show_default=True)
def main(payments: int, rate: float, *, redis: bool) -> None:
    """Measure how soon events arrive."""
    with tempfile.TemporaryDirectory(prefix="kernapay-events-") as folder, ExitStack() as stack:
        home = Path(folder)
        mongo = stack.enter_context(MongoServer(home / "mongo"))
        node = stack.enter_context(RedisNode(home / "redis"))
        gateway = stack.enter_context(SandboxServer(home))
        url = mongo.database_url("events")
        store = stack.enter_context(open_migrated_store(url))
        env = api_environment(url, node.url, gateway.url, home, DELIVERY_ALLOWED_HOSTS=HOST)
        api = stack.enter_context(Api(home, env))
        user = People(api.client, store).new()
        worker = Worker(home / "worker", env)
        worker.start()
        stack.callback(worker.kill)
        if not redis:
            node.stop()
        limit = _LIMIT_MS if redis else _LIMIT_MS_WITHOUT_REDIS
        is_within = asyncio.run(
            _measure(
                api,
                worker,
                mongo,
                user,
                Field(store, now),
                count=payments,
                rate=rate,
                limit=limit,
            )
        )
    sys.exit(0 if is_within else 1)


if __name__ == "__main__":
    main()
