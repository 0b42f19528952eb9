import gc
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
from redis import Redis, exceptions
from redis.backoff import NoBackoff
from redis.retry import Retry

from kernapay.devstack.ports import free_port
from tests.clusters.nodes import RedisNode
from tests.clusters.proxy import Mode, Proxy


@pytest.fixture
def proxy(redis_proxy: Proxy) -> Proxy:
    return redis_proxy


@pytest.fixture
def client(proxy: Proxy) -> Iterator[Redis]:
    with Redis(
        host="127.0.0.1",
        port=proxy.port,
        socket_timeout=0.5,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
    ) as client:
        yield client


def test_it_passes_everything_both_ways(client: Redis) -> None:
    large = "x" * 5_000_000
    client.set("large", large)
    assert client.get("large") == large


def test_a_stop_ends_also_who_has_just_connected(redis_server: RedisNode) -> None:
    for _ in range(10):
        with Proxy(redis_server.port) as proxy:
            clients = [socket.create_connection(("127.0.0.1", proxy.port)) for _ in range(3)]
        for client in clients:
            client.settimeout(10)
            with suppress(ConnectionResetError):
                assert client.recv(1) == b""
            client.close()
        # A connection that asyncio has left open is reported when it is found.
        gc.collect()


def test_latency_delays_each_way(proxy: Proxy, client: Redis) -> None:
    client.ping()
    proxy.set(Mode.LATENCY, 0.1)
    began = time.monotonic()
    client.ping()
    assert time.monotonic() - began >= 0.2
    proxy.set(Mode.PASS)
    client.ping()


def test_a_hang_is_a_timeout_for_open_and_new_connections_until_it_ends(
    proxy: Proxy, client: Redis, redis_server: RedisNode
) -> None:
    client.ping()
    proxy.set(Mode.HANG)
    for _ in ("an open connection", "a new one"):
        with pytest.raises(exceptions.TimeoutError):
            client.ping()
    proxy.set(Mode.PASS)
    assert client.ping()


def test_what_hung_arrives_when_the_hang_ends(proxy: Proxy) -> None:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as connection:
        connection.sendall(b"PING\r\n")
        assert connection.recv(100) == b"+PONG\r\n"
        proxy.set(Mode.HANG)
        connection.sendall(b"PING\r\n")
        connection.settimeout(0.2)
        with pytest.raises(socket.timeout):
            connection.recv(100)
        proxy.set(Mode.PASS)
        connection.settimeout(10)
        assert connection.recv(100) == b"+PONG\r\n"


def test_a_cut_resets_open_connections_and_refuses_new_ones(proxy: Proxy, client: Redis) -> None:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as connection:
        connection.sendall(b"PING\r\n")
        assert connection.recv(100) == b"+PONG\r\n"
        proxy.set(Mode.CUT)
        with pytest.raises(ConnectionResetError):
            connection.recv(100)
    with pytest.raises(exceptions.ConnectionError):
        client.ping()
    proxy.set(Mode.PASS)
    assert client.ping()


def test_a_cut_ends_a_hang_too(proxy: Proxy, client: Redis) -> None:
    proxy.set(Mode.HANG)
    with pytest.raises(exceptions.TimeoutError):
        client.ping()
    proxy.set(Mode.CUT)
    with pytest.raises(exceptions.ConnectionError):
        client.ping()


def test_the_end_of_one_direction_leaves_the_other_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        received: list[bytes] = []

        def answer_after_the_end() -> None:
            far, _ = listener.accept()
            with far, far.makefile("rb") as stream:
                received.append(stream.read())
                far.sendall(b"answer")

        thread = threading.Thread(target=answer_after_the_end)
        thread.start()
        with (
            Proxy(listener.getsockname()[1]) as proxy,
            socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as near,
        ):
            near.sendall(b"question")
            near.shutdown(socket.SHUT_WR)
            assert near.makefile("rb").read() == b"answer"
        thread.join(10)
        assert received == [b"question"]


def test_a_target_that_is_down_is_a_connection_error() -> None:
    with (
        Proxy(free_port()) as proxy,
        Redis(port=proxy.port, retry=Retry(NoBackoff(), 0)) as client,
        pytest.raises(exceptions.ConnectionError),
    ):
        client.ping()


def test_a_taken_port_is_an_os_error(redis_server: RedisNode) -> None:
    with pytest.raises(OSError, match="in use"):
        Proxy(redis_server.port, redis_server.port).start()
