"""Stopping the service finishes what is under way."""

import signal
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.actors import Actor
from tests.aliases import Store
from tests.databases import row_of
from tests.factories import payment_body
from tests.plain_http import NO_AUTHORITIES
from tests.stack import Sandbox, StartApi, StartWorker
from tests.waiting import eventually


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_create_at_a_slow_gateway_is_answered_before_the_service_ends(
    user: Actor, sandbox: Sandbox, start_api: StartApi, number: signal.Signals
) -> None:
    server = start_api()
    slow = sandbox.fault("delay", route="/v1/orders", method="POST", options={"seconds": 2})
    with ThreadPoolExecutor(1) as aside:
        answer = aside.submit(user.at(server.client).create, payment_body())
        eventually(lambda: sandbox.hits(slow) == 1)
        assert not answer.done()
        server.signal(number)
        assert answer.result(20).status_code == 201
    assert eventually(lambda: server.process.exit_code is not None)
    assert server.process.exit_code == 0
    with pytest.raises(httpx.TransportError):
        server.client.get("/health/live")


def test_an_order_whose_client_hung_up_is_finished_before_the_service_ends(
    user: Actor, sandbox: Sandbox, start_api: StartApi, store: Store
) -> None:
    server = start_api()
    slow = sandbox.fault("delay", route="/v1/orders", method="POST", options={"seconds": 2})
    body = payment_body()
    with (
        httpx.Client(
            base_url=server.url, trust_env=False, timeout=0.5, verify=NO_AUTHORITIES
        ) as impatient,
        pytest.raises(httpx.ReadTimeout),
    ):
        user.at(impatient).create(body)
    assert sandbox.hits(slow) == 1
    server.signal(signal.SIGTERM)
    eventually(lambda: server.process.exit_code is not None)
    row = row_of(store.payments, idempotencyKey=body["idempotencyKey"])
    assert row["razorpayOrderId"].startswith("order_")


def test_a_service_that_is_killed_leaves_no_process_behind(start_api: StartApi) -> None:
    server = start_api(2)
    server.signal(signal.SIGKILL)

    def gone() -> bool:
        try:
            with httpx.Client(
                base_url=server.url, trust_env=False, timeout=2, verify=NO_AUTHORITIES
            ) as client:
                client.get("/health/live")
        except httpx.TransportError:
            return True
        return False

    assert eventually(gone, timeout=15)


def test_an_idle_worker_ends_at_once(start_worker: StartWorker) -> None:
    worker = start_worker()
    worker.stop(timeout=10)
    assert worker.exit_code == 0
    assert "worker_stopped" in worker.tail()
