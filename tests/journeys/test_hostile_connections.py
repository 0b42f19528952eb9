"""Clients that read nothing, break off, or send what is no body; and a service that starts on a full disk."""

import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.actors import USERS
from tests.aliases import Json
from tests.limits import fill, small_disk
from tests.stack import METRICS_TOKEN, WEBHOOK_PATH, Api, StartApi, bearer
from tests.waiting import eventually

pytestmark = pytest.mark.owasp(line="API4")


def _open_connections(port: int) -> int:
    """Return how many established connections the server has, also those that no process holds any more."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1].endswith(f":{port:04X}") and row[3] in ("01", "04", "08") for row in rows)


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's TCP_USER_TIMEOUT")
def test_who_does_not_read_is_cut_and_who_reads_is_served(start_api: StartApi) -> None:
    server = start_api(2, SEND_TIMEOUT="3s")
    path = _bundle_of(server)
    whole = server.client.get(path).content
    assert len(whole) > 1_000_000
    before = _open_connections(server.port)
    with ExitStack() as stack:
        for _ in range(20):
            idle = stack.enter_context(socket.socket())
            idle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            idle.connect(("127.0.0.1", server.port))
            # Not gzip: the whole must not fit into the kernel's buffers.
            idle.sendall(f"GET {path} HTTP/1.1\r\nHost: kernapay\r\n\r\n".encode())
        # On a busy machine, the first may be cut already. The last is there for its three seconds.
        assert _open_connections(server.port) > before
        eventually(lambda: _open_connections(server.port) <= before + 1)
        assert server.client.get(path).content == whole
        assert server.client.get("/health/live").status_code == 200
        assert not server.log_entries(level="error")


def test_a_disk_without_room_for_the_metrics_ends_no_worker(
    start_api: StartApi, tmp_path: Path
) -> None:
    """prometheus-client's own files ended such a worker by SIGBUS."""
    with small_disk(tmp_path / "disk", 64) as disk:
        fill(disk)
        server = start_api(2, PROMETHEUS_MULTIPROC_DIR=str(disk))
        assert server.client.get("/health/live").status_code == 200
        assert server.log_entries("metrics_not_written")
        assert not server.log_entries(level="error")
        assert server.client.get("/metrics", headers=bearer(METRICS_TOKEN)).status_code == 200


def _bundle_of(server: Api) -> str:
    page = server.client.get("/docs").text
    start = page.index("swagger-ui-bundle.js")
    return page[page.rindex('"', 0, start) + 1 : page.index('"', start)]


BREAKS = {
    "ends early": (b"Content-Length: 100\r\n\r\n", b'{"email'),
    "never begins": (b"Content-Length: 100\r\n\r\n", b""),
    "has a length that is no number": (b"Transfer-Encoding: chunked\r\n\r\n", b"zz\r\nabc\r\n"),
    "has a chunk longer than it says": (
        b"Transfer-Encoding: chunked\r\n\r\n",
        b"3\r\nabcdef\r\n0\r\n\r\n",
    ),
    "has a length beyond 64 bits": (
        b"Transfer-Encoding: chunked\r\n\r\n",
        b"fffffffffffffffffff\r\nabc\r\n0\r\n\r\n",
    ),
    "has a chunk that ends early": (b"Transfer-Encoding: chunked\r\n\r\n", b"9\r\n{"),
}


@pytest.fixture
def new_entries(api_server: Api) -> Iterator[list[Json]]:
    """What the API logs from now on; complete when the test has ended."""
    before = len(api_server.log_entries())
    entries: list[Json] = []
    yield entries
    eventually(lambda: any(e["event"] == "request" for e in api_server.log_entries()[before:]))
    entries += api_server.log_entries()[before:]
    assert [entry for entry in entries if entry["level"] not in ("info", "debug")] == []
    assert {e["status"] for e in entries if e["event"] == "request"} == {400}


@pytest.mark.parametrize("path", [f"{USERS}/login", WEBHOOK_PATH])
@pytest.mark.parametrize("name", BREAKS)
@pytest.mark.usefixtures("new_entries")
def test_a_body_that_breaks_off_is_the_clients_fault(api_server: Api, path: str, name: str) -> None:
    head, body = BREAKS[name]
    start = f"POST {path} HTTP/1.1\r\nHost: kernapay\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", api_server.port), timeout=20) as connection:
        connection.sendall(start.encode() + head + body)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := connection.recv(65_536):
            answer += piece
    head, _, content = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400"), answer
    assert b"connection: close" in head.lower()
    assert b"urn:kernapay:problem:broken_body" in content


@pytest.mark.usefixtures("new_entries")
def test_a_client_that_is_gone_before_its_body_leaves_one_quiet_line(api_server: Api) -> None:
    head = f"POST {USERS}/login HTTP/1.1\r\nHost: kernapay\r\nContent-Length: 100\r\n\r\n"
    with socket.create_connection(("127.0.0.1", api_server.port)) as connection:
        connection.sendall(head.encode() + b"{")
