"""Streams of a process that is full, stops, or has lost Redis, and clients that do not read."""

import os
import resource
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.actors import PAYMENTS, Actor, People, assert_problem
from tests.aliases import Json, Store
from tests.clusters.nodes import RedisNode
from tests.exposition import Exposition
from tests.live.follower import Follower
from tests.live.payments import capture, decline, new_row, push, step
from tests.stack import Api, StartApi
from tests.waiting import eventually

pytestmark = pytest.mark.long


@pytest.fixture
def row(store: Store) -> Json:
    return new_row(store)


def open_streams(count: int) -> int:
    """Let this process open so many connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, count + 500)), hard))
    return count


@pytest.mark.owasp(line="API4")
def test_a_client_has_so_many_streams_and_no_more(row: Json, start_api: StartApi) -> None:
    server = start_api(LIVE_STREAMS_PER_CLIENT="2", TRUSTED_PROXIES="127.0.0.1")
    path = f"{PAYMENTS}/{row['referenceId']}/events"

    def client(number: int) -> dict[str, str]:
        return {"X-Forwarded-For": f"203.0.113.{number}"}

    with ExitStack() as streams:

        def follow(number: int) -> Follower:
            stream = Follower(server.port, row["referenceId"], headers=client(number))
            return streams.enter_context(stream)

        first, *others = [follow(number) for number in (1, 1, 2, 2)]
        assert [stream.next().name for stream in (first, *others)] == ["state"] * 4
        refused = server.client.get(path, headers=client(1))
        assert_problem(refused, 429, code="too_many_streams")
        assert int(refused.headers["Retry-After"]) >= 1
        first.leave()
        assert eventually(lambda: follow(1).status == 200)
        refusals = Exposition.of(server.client)
        assert refusals.sum("kernapay_live_streams_refused_total", limit="client") >= 1


@pytest.mark.owasp(line="API4")
def test_an_account_is_counted_wherever_it_calls_from(user: Actor, start_api: StartApi) -> None:
    server = start_api(LIVE_STREAMS_PER_CLIENT="1", TRUSTED_PROXIES="127.0.0.1")
    reference = user.new_payment()["referenceId"]
    with Follower(
        server.port, reference, user.token, headers={"X-Forwarded-For": "203.0.113.1"}
    ) as stream:
        assert stream.next().name == "state"
        elsewhere = {"X-Forwarded-For": "203.0.113.2"}
        with Follower(server.port, reference, user.token, headers=elsewhere) as refused:
            assert refused.status == 429
        with Follower(server.port, reference, headers=elsewhere) as bearer:
            assert bearer.status == 200


@pytest.mark.owasp(line="API4")
def test_a_process_full_of_streams_answers_everything_else(
    row: Json, user: Actor, start_api: StartApi
) -> None:
    open_streams(400)
    server = start_api(LIVE_STREAMS="300", LIVE_STREAMS_PER_CLIENT="1000")
    with ExitStack() as streams:
        for _ in range(300):
            stream = streams.enter_context(Follower(server.port, row["referenceId"]))
            assert stream.status == 200
        with Follower(server.port, row["referenceId"]) as refused:
            assert refused.status == 429
        assert server.client.get("/health/live").status_code == 200
        assert server.client.get("/health/ready").status_code == 200
        path = f"{PAYMENTS}/status/{row['referenceId']}"
        assert server.client.get(path).json()["status"] == "pending"
        assert user.at(server.client).create().status_code == 201
        assert Exposition.of(server.client).sum("kernapay_live_streams") == 300
    eventually(lambda: Exposition.of(server.client).sum("kernapay_live_streams") == 0)


@pytest.mark.parametrize(("number", "workers"), [(signal.SIGTERM, 1), (signal.SIGINT, 2)])
def test_open_streams_do_not_hold_up_the_end_of_the_service(
    row: Json, start_api: StartApi, number: signal.Signals, workers: int
) -> None:
    """Clients come back spread over ten seconds."""
    open_streams(200)
    server = start_api(workers)
    with ExitStack() as streams:
        followers = [
            streams.enter_context(Follower(server.port, row["referenceId"])) for _ in range(100)
        ]
        for each in followers:
            assert each.next().name == "state"
        began = time.monotonic()
        server.signal(number)
        for each in followers:
            (end,) = each.rest()
            assert end.data == {"reason": "restart"}
        eventually(lambda: server.process.exit_code is not None)
        assert time.monotonic() - began < 10, "without the word, it would be killed after 30 s"
        assert server.process.exit_code == 0
        assert "panicked" not in server.log()
        waits = [each.retries[-1] for each in followers]
        assert 1_000 <= min(waits) < 4_000 < 7_000 < max(waits) <= 10_000


def test_a_client_that_does_not_read_is_cut_and_holds_up_nobody(
    store: Store, start_api: StartApi
) -> None:
    server = start_api(SEND_TIMEOUT="2s")
    # More than the buffers of both sides take.
    long_steps = [step(number, reason="x" * 20_000) for number in range(400)]
    row = new_row(store, history=long_steps)
    path = f"{PAYMENTS}/{row['referenceId']}/events"
    with socket.socket() as lazy, Follower(server.port, row["referenceId"], last=399) as reader:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lazy.connect(("127.0.0.1", server.port))
        token = _administrator(server, store)
        lines = (f"GET {path} HTTP/1.1", "Host: a", "Last-Event-ID: 0", f"Authorization: {token}")
        lazy.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
        eventually(lambda: Exposition.of(server.client).sum("kernapay_live_streams") == 2)
        push(store, row, 400, "failed")
        assert reader.next().id == 400
        eventually(lambda: Exposition.of(server.client).sum("kernapay_live_streams") == 1)
        scraped, name = Exposition.of(server.client), "kernapay_live_streams_ended_total"
        # The kernel has the same deadline, and may be the first.
        assert scraped.sum(name, reason="too_slow") + scraped.sum(name, reason="gone") == 1


def _administrator(server: Api, store: Store) -> str:
    return f"Bearer {People(server.client, store).new('ADMIN').token}"


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisNode]:
    with RedisNode(tmp_path / "redis") as node:
        yield node


@pytest.mark.parametrize("outage", [signal.SIGKILL, signal.SIGSTOP])
def test_without_redis_a_change_comes_some_seconds_later(
    user: Actor, start_api: StartApi, own_redis: RedisNode, outage: signal.Signals
) -> None:
    server = start_api(REDIS_URL=own_redis.url)
    buyer = user.at(server.client)
    payments = [buyer.new_payment() for _ in range(3)]
    with ExitStack() as streams:
        followers = [
            streams.enter_context(Follower(server.port, each["referenceId"])) for each in payments
        ]
        assert [each.next().name for each in followers] == ["state"] * 3
        eventually(lambda: server.log_entries("signals_ready"))
        assert own_redis.pid is not None
        os.kill(own_redis.pid, outage)
        try:
            delays = []
            for payment, stream in zip(payments, followers, strict=True):
                decline(server.client, payment)
                told = time.monotonic()
                delays.append(stream.next().at - told)
            # The tests of a busy machine are late now and then, the poll without doubt is each time.
            assert sorted(delays)[1] <= 3, delays
        finally:
            if outage is signal.SIGSTOP:
                os.kill(own_redis.pid, signal.SIGCONT)
            else:
                own_redis.start()
        eventually(lambda: len(server.log_entries("signals_ready")) == 2)
        capture(server.client, payments[0])
        assert followers[0].next().status == "success"
