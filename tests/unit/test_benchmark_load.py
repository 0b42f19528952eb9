"""The load of the benchmark sends the prepared requests, by wrk and without it."""

import shutil
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.benchmarks.api.http_client import raw_request
from tests.benchmarks.api.load import Batch, Load, Tool, play
from tests.http_server import HttpServer, Response

WITHOUT_WRK = pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
PATHS = ("/one", "/two", "/three")


@pytest.fixture(params=["python", pytest.param("wrk", marks=WITHOUT_WRK)])
def tool(request: pytest.FixtureRequest) -> Tool:
    chosen: Tool = request.param
    return chosen


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with HttpServer() as server:
        yield server


def batch(server: HttpServer, *, only_once: bool = False) -> Batch:
    return Batch([raw_request("GET", path, server.port) for path in PATHS], only_once)


def test_requests_are_sent_in_turn_and_their_answers_counted(
    server: HttpServer, tool: Tool
) -> None:
    outcome = play(tool, server.port, batch(server), Load(1, 2))
    sent = Counter(request.path for request in server.requests)
    assert outcome.answers > len(PATHS)
    assert max(sent.values()) - min(sent.values()) <= 2
    assert 0 <= sent.total() - outcome.answers <= 2
    assert (outcome.refused, outcome.broken) == (0, 0)
    assert 0 < outcome.p50_ms <= outcome.p99_ms


def test_requests_that_may_be_sent_once_are_sent_once(server: HttpServer, tool: Tool) -> None:
    play(tool, server.port, batch(server, only_once=True), Load(1, 2))
    sent = Counter(request.path for request in server.requests)
    assert all(sent[path] <= 1 for path in PATHS)
    # It shows that they ran out: no server has this path.
    assert sent["/exhausted"] > 0


def test_refusals_are_counted(server: HttpServer, tool: Tool) -> None:
    server.response = Response(503)
    outcome = play(tool, server.port, batch(server), Load(1, 2))
    assert outcome.refused == outcome.answers > 0


def test_connections_pause_before_each_request(server: HttpServer, tool: Tool) -> None:
    outcome = play(tool, server.port, batch(server), Load(1, 2, pause_ms=100))
    assert 2 <= outcome.answers <= 40
