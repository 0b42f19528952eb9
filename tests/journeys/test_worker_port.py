"""The port of a worker: its metrics behind the token, and a health check that sees a loop which hangs."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import httpx
import pytest

from kernapay.bootstrap.services import Services
from kernapay.core import logs
from kernapay.core.heartbeat import Heartbeat
from kernapay.devstack.ports import HOST, free_port
from kernapay.health.worker_port import create_worker_app
from kernapay.worker import sweeps
from tests.actors import Actor, assert_problem
from tests.aliases import Store
from tests.command_line import RunKernapay
from tests.databases import forget_payments
from tests.environment import settings_from
from tests.exposition import METRICS, Exposition
from tests.in_process import InProcessClient
from tests.plain_http import NO_AUTHORITIES
from tests.stack import METRICS_TOKEN, Sandbox, StartWorker, bearer
from tests.waiting import eventually


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def client(port: int) -> Iterator[httpx.Client]:
    url = f"http://{HOST}:{port}"
    with httpx.Client(base_url=url, trust_env=False, timeout=20, verify=NO_AUTHORITIES) as client:
        yield client


def test_a_worker_tells_its_metrics_to_who_has_the_token(
    start_worker: StartWorker,
    client: httpx.Client,
    port: int,
    user: Actor,
    sandbox: Sandbox,
    api_env: dict[str, str],
) -> None:
    start_worker(METRICS_TOKEN=METRICS_TOKEN, WORKER_METRICS_PORT=str(port))
    eventually(lambda: _answers(client))
    assert_problem(client.get(METRICS), 401)
    assert_problem(client.get(METRICS, headers=bearer(user.token)), 401)
    scraped = Exposition.of(client)
    loops = {s.labels["loop"] for s in scraped.matching("kernapay_worker_loop_silence_seconds")}
    assert loops == set(sweeps(Services(settings_from(api_env))))
    assert scraped.sum("kernapay_build_info") == 1
    assert scraped.sum("kernapay_queue_due", queue="inbox") >= 0
    assert scraped.sum("kernapay_queue_rows_total", queue="inbox", outcome="claimed") >= 0
    assert scraped.sum("kernapay_pool_threads", pool="database") >= 1
    eventually(lambda: Exposition.of(client).sum("kernapay_event_loop_delay_seconds_count") > 0)


def test_the_port_has_the_protection_of_the_api(
    start_worker: StartWorker, client: httpx.Client, port: int
) -> None:
    start_worker(WORKER_METRICS_PORT=str(port), ALLOWED_HOSTS=HOST)
    eventually(lambda: _answers(client))
    assert_problem(client.get(METRICS), 404)
    assert_problem(client.get("/v1/api/users/profile"), 404)
    assert_problem(client.post(METRICS), 405)
    assert_problem(client.get("/health/live", headers={"Host": "evil.example"}), 403)
    answer = client.get("/health/live")
    assert answer.json() == {"status": "ok", "problems": []}
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_without_the_setting_a_worker_listens_nowhere(start_worker: StartWorker) -> None:
    worker = start_worker(METRICS_TOKEN=METRICS_TOKEN)
    assert worker.pid is not None
    sockets = {
        link
        for each in Path(f"/proc/{worker.pid}/fd").iterdir()
        if (link := str(each.readlink())).startswith("socket:")
    }
    lines = Path(f"/proc/{worker.pid}/net/tcp").read_text().splitlines()[1:]
    listening = "0A"
    ours = [line for line in lines if f"socket:[{line.split()[9]}]" in sockets]
    assert ours, "it is connected to its stores"
    assert [line for line in ours if line.split()[3] == listening] == []


def test_a_port_that_is_taken_is_named(
    run_kernapay: RunKernapay, api_env: dict[str, str], sandbox: Sandbox
) -> None:
    taken = str(httpx.URL(sandbox.url).port)
    result = run_kernapay("worker", WORKER_METRICS_PORT=taken)
    assert result.returncode == 1
    assert f"port {taken} is taken" in result.stderr
    assert "WORKER_METRICS_PORT" in result.stderr


def test_a_worker_with_a_port_ends_when_it_is_told_to(
    start_worker: StartWorker, client: httpx.Client, port: int, store: Store
) -> None:
    # Else it may rightly report that those which other tests left are of another account.
    forget_payments(store)
    worker = start_worker(METRICS_TOKEN=METRICS_TOKEN, WORKER_METRICS_PORT=str(port))
    eventually(lambda: _answers(client))
    worker.stop()
    log = worker.log.read_text()
    assert "worker_stopped" in log
    assert '"level":"error"' not in log.replace(": ", ":")


@pytest.mark.anyio
async def test_a_loop_that_hangs_fails_the_health_check(api_env: dict[str, str]) -> None:
    at = time.monotonic()
    heartbeat = Heartbeat(None, lambda: at)

    async def hang() -> None:
        return None

    await asyncio.gather(*_watched(heartbeat, hang))
    settings = settings_from(api_env)
    services = Services(settings)
    app = create_worker_app(
        settings,
        services.metrics_dependencies((heartbeat,)),
        heartbeat,
        logs.configure("WARNING", sys.stdout),
    )
    async with InProcessClient(app, services) as client:
        assert (await client.get("/health/live")).status_code == 200
        at += 601
        answer = await client.get("/health/live")
        assert answer.status_code == 503
        assert answer.json()["problems"] == [
            f"The loop {name} hangs: its last sign of life was 601 s ago."
            for name in ("inbox", "outbox")
        ]


def _watched(heartbeat: Heartbeat, loop: Callable[[], Awaitable[None]]) -> list[Awaitable[None]]:
    return [heartbeat.watch(name, loop()) for name in ("outbox", "inbox")]


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/health/live").is_success
    except httpx.TransportError:
        return False
