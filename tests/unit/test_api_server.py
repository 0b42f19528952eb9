"""The server's workers: one that dies takes no other with it, and every line of the log is JSON."""

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from kernapay.devstack.ports import HOST, free_port
from kernapay.devstack.process import Process
from tests.aliases import Json
from tests.stack import bare_environment
from tests.waiting import eventually

pytestmark = pytest.mark.long

SCRIPT = """
import sys
from granian.constants import Interfaces, Loops
from kernapay.commands.api_server import ApiServer
from kernapay.core import logs
logs.configure()
ApiServer("tests.unit.dying_app:app", address="127.0.0.1", port=int(sys.argv[1]), workers=int(sys.argv[2]),
          shortest_pause=float(sys.argv[3]), healthy_seconds=float(sys.argv[4]), interface=Interfaces.ASGI,
          loop=Loops.uvloop, websockets=False, log_level="warning").serve()
"""


class Served:
    def __init__(
        self, home: Path, workers: int, shortest_pause: float = 1.0, healthy_seconds: float = 10.0
    ) -> None:
        self.port = free_port()
        self.dying = home / "dying"
        arguments = (self.port, workers, shortest_pause, healthy_seconds)
        self.process = Process(
            "server",
            home,
            (sys.executable, "-c", SCRIPT, *map(str, arguments)),
            {**bare_environment(), "DYING": str(self.dying)},
            lambda: self.get("/") is not None,
        )

    def get(self, path: str) -> int | None:
        """Return the pid of the worker that answers a new connection, or None if none does."""
        try:
            answer = httpx.get(f"http://{HOST}:{self.port}{path}", trust_env=False, timeout=5)
        except httpx.TransportError:
            return None
        return int(answer.text) if answer.status_code == 200 else None

    def log_lines(self) -> list[Json]:
        return [json.loads(line) for line in self.process.log.read_text().splitlines()]

    def log(self, event: str) -> list[Json]:
        return [line for line in self.log_lines() if line["event"] == event]


@pytest.fixture
def served(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Served]:
    served = Served(tmp_path, **request.param)
    try:
        served.process.start()
        yield served
    finally:
        served.process.kill()


@pytest.mark.parametrize("served", [{"workers": 2}], indirect=True)
def test_a_worker_that_dies_again_and_again_leaves_the_other_one_serving(served: Served) -> None:
    first = eventually(lambda: served.get("/"))
    other = eventually(lambda: (pid := served.get("/")) != first and pid)
    served.dying.touch()  # what dies from now on cannot start either
    assert served.get("/die") is None
    eventually(lambda: served.log("worker_died"))
    survivor = eventually(lambda: served.get("/"))
    assert survivor in (first, other)
    eventually(lambda: len(served.log("worker_died")) >= 3)
    assert [served.get("/") for _ in range(20)] == [survivor] * 20
    deaths = served.log("worker_died")
    assert {death["exit_code"] for death in deaths[1:]} == {3}
    assert [death["restarted_after_seconds"] for death in deaths[:3]] == [0, 1, 2]

    served.dying.unlink()
    eventually(lambda: (pid := served.get("/")) != survivor and pid)


HEALTHY_SECONDS = 2.0
RECOVERING = {"workers": 2, "shortest_pause": 0.1, "healthy_seconds": HEALTHY_SECONDS}


@pytest.mark.parametrize("served", [RECOVERING], indirect=True)
def test_a_worker_that_recovered_goes_on_serving_when_the_other_one_keeps_dying(
    served: Served,
) -> None:
    first = eventually(lambda: served.get("/"))
    other = eventually(lambda: (pid := served.get("/")) != first and pid)
    served.dying.touch()
    os.kill(first, signal.SIGKILL)
    eventually(lambda: len(served.log("worker_died")) >= 5)
    served.dying.unlink()
    recovered = eventually(lambda: (pid := served.get("/")) != other and pid)
    seen = time.monotonic()
    eventually(lambda: time.monotonic() - seen >= HEALTHY_SECONDS)

    served.dying.touch()
    before = len(served.log("worker_died"))
    os.kill(other, signal.SIGKILL)
    eventually(
        lambda: served.log("no_worker_stays_alive") or len(served.log("worker_died")) >= before + 6
    )
    assert served.log("no_worker_stays_alive") == []
    assert eventually(lambda: served.get("/")) == recovered


@pytest.mark.parametrize("served", [{"workers": 1}], indirect=True)
def test_a_service_that_cannot_serve_ends_and_says_so(served: Served) -> None:
    """Its supervisor starts it again, and people see that it does not run."""
    assert served.get("/raise") is None
    served.dying.touch()
    served.get("/die")
    eventually(lambda: served.process.exit_code is not None)
    assert served.process.exit_code == 1
    assert len(served.log("worker_died")) == 4
    assert len(served.log("no_worker_stays_alive")) == 1
    (raised,) = [line for line in served.log_lines() if "ValueError: as asked" in str(line)]
    assert (raised["level"], raised["logger"]) == ("error", "_granian.utils")


@pytest.mark.parametrize("served", [{"workers": 1, "shortest_pause": 30.0}], indirect=True)
def test_a_signal_ends_the_pause_before_a_restart(served: Served) -> None:
    served.dying.touch()
    served.get("/die")
    eventually(lambda: len(served.log("worker_died")) == 2)
    assert served.log("worker_died")[-1]["restarted_after_seconds"] == 30
    served.process.stop(timeout=15)
    assert served.process.exit_code == 0, "not killed when the time was up"
    assert len(served.log("worker_died")) == 2
    assert served.log("no_worker_stays_alive") == []
