"""Nothing that a client has seen is lost, however the process ends."""

import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.plain_http import NO_AUTHORITIES
from tests.sandbox.sandbox_process import (
    DAY,
    KEY,
    NEW_YEAR,
    WEBHOOK_SECRET,
    SandboxProcess,
    wait_for,
)
from tests.sandbox.webhook_receiver import WebhookReceiver

pytestmark = pytest.mark.long


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[SandboxProcess]:
    sandbox = SandboxProcess(
        tmp_path, "--data", str(tmp_path / "sandbox.sqlite"), SANDBOX_WEBHOOK_BACKOFF="0.2"
    )
    try:
        yield sandbox.start()
    finally:
        sandbox.close()


class Burst:
    """Create and pay orders with several clients until the sandbox ends.

    `created` and `paid` are the ids of the orders for which a response came.
    """

    def __init__(self, url: str, clients: int) -> None:
        self.created: list[str] = []
        self.paid: list[str] = []
        self._url = url
        self._threads = [threading.Thread(target=self._run) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        with httpx.Client(
            base_url=self._url, auth=KEY, trust_env=False, verify=NO_AUTHORITIES
        ) as client:
            try:
                while True:
                    order = client.post("/v1/orders", json={"amount": 50_000, "currency": "INR"})
                    order_id = order.json()["id"]
                    self.created.append(order_id)
                    client.post("/_sandbox/pay", json={"order_id": order_id}).raise_for_status()
                    self.paid.append(order_id)
            except httpx.TransportError:
                return

    def join(self) -> None:
        for thread in self._threads:
            thread.join(10)


def test_a_kill_in_a_burst_loses_no_order_and_no_pending_delivery(
    sandbox: SandboxProcess, receiver: WebhookReceiver
) -> None:
    receiver.default_status = 503
    sandbox.control("/webhooks", url=receiver.url, secret=WEBHOOK_SECRET)
    burst = Burst(sandbox.url, clients=6)
    wait_for(lambda: len(burst.paid) >= 40)
    sandbox.stop(signal.SIGKILL)
    burst.join()
    receiver.default_status = 200
    receiver.webhooks.clear()
    sandbox.start()

    rows = sandbox.inspect("/snapshot")
    assert set(burst.created) <= {order["id"] for order in rows["order"]}
    captured = {p["order_id"] for p in rows["payment"] if p["status"] == "captured"}
    assert set(burst.paid) <= captured
    wait_for(lambda: not sandbox.inspect("/deliveries?status=pending")["items"], 30)
    for order_id in burst.paid:
        events = {w.event for w in receiver.webhooks if order_id.encode() in w.body}
        assert events == {"payment.authorized", "payment.captured", "order.paid"}
    assert len({webhook.body for webhook in receiver.webhooks}) >= 3 * len(burst.paid)


def test_an_orderly_stop_keeps_everything(sandbox: SandboxProcess) -> None:
    order = sandbox.create_order(receipt="kept")
    payment = sandbox.create_payment()
    fault = sandbox.arm_fault("rate_limit", route="/v1/never", times=3)
    sandbox.freeze_clock()
    before = sandbox.inspect("/snapshot")
    assert sandbox.stop() == 0
    sandbox.start()
    assert sandbox.inspect("/snapshot") == before
    assert sandbox.call("GET", "/v1/orders", params={"receipt": "kept"})["items"] == [order]
    assert sandbox.fetch_payment(payment["id"]) == payment
    assert sandbox.inspect("/faults")["items"] == [fault]
    assert sandbox.inspect("/clock") == {"now": NEW_YEAR, "frozen": True}


def test_timers_survive_a_restart(sandbox: SandboxProcess) -> None:
    order = sandbox.create_order(payment={"capture": "manual"})
    payment_id = sandbox.pay(order)["razorpay_payment_id"]
    sandbox.stop(signal.SIGKILL)
    sandbox.start()
    sandbox.advance_clock(4 * DAY)
    assert sandbox.fetch_payment(payment_id)["status"] == "refunded"


def test_a_pending_retry_survives_a_restart(
    sandbox: SandboxProcess, receiver: WebhookReceiver
) -> None:
    receiver.statuses.append(500)
    sandbox.control("/webhooks", url=receiver.url, secret=WEBHOOK_SECRET)
    sandbox.freeze_clock()
    sandbox.pay(sandbox.create_order(), outcome="failure")
    wait_for(lambda: sandbox.inspect("/deliveries")["items"][0]["tries"] == 1)
    sandbox.stop(signal.SIGKILL)
    sandbox.start()
    sandbox.advance_clock(1)
    assert len({webhook.event_id for webhook in receiver.wait_for(2)}) == 1


def test_two_sandboxes_do_not_share_one_file(sandbox: SandboxProcess, tmp_path: Path) -> None:
    second = SandboxProcess(tmp_path, "--data", str(tmp_path / "sandbox.sqlite"))
    try:
        with pytest.raises(AssertionError, match="another sandbox uses it"):
            second.start()
    finally:
        second.close()


def test_a_snapshot_restores_everything(sandbox: SandboxProcess) -> None:
    order = sandbox.create_order()
    sandbox.pay(order)
    snapshot = sandbox.inspect("/snapshot")
    sandbox.control("/reset")
    assert sandbox.call("GET", "/v1/orders")["count"] == 0
    sandbox.control("/snapshot", "PUT", **snapshot)
    assert sandbox.inspect("/snapshot") == snapshot
    sandbox.stop(signal.SIGKILL)
    sandbox.start()
    assert sandbox.fetch_order(order["id"])["status"] == "paid"


def test_a_snapshot_of_any_size_is_restored(sandbox: SandboxProcess) -> None:
    sandbox.create_order()
    snapshot = sandbox.inspect("/snapshot")
    (order,) = snapshot["order"]
    order["notes"] = {"long": "x" * 11_000_000}
    sandbox.control("/snapshot", "PUT", **snapshot)
    assert sandbox.inspect("/snapshot") == snapshot


def test_an_invalid_snapshot_is_refused_and_changes_nothing(sandbox: SandboxProcess) -> None:
    sandbox.pay(sandbox.create_order())
    snapshot = sandbox.inspect("/snapshot")
    orphan = {**snapshot, "order": []}
    invalid: list[dict[str, Any]] = [
        orphan,
        {"order": [{"id": 5}]},
        {"order": {}},
        {"order": ["x"]},
    ]
    for body in invalid:
        response = sandbox.anonymous.put("/_sandbox/snapshot", json=body)
        assert response.status_code == 400, body
        assert sandbox.inspect("/snapshot") == snapshot


def test_a_reset_keeps_only_what_the_configuration_names(sandbox: SandboxProcess) -> None:
    sandbox.create_order()
    sandbox.arm_fault("delay")
    sandbox.control("/webhooks", url="http://127.0.0.1:9/x", secret="s")
    sandbox.control("/clock", frozen=True)
    sandbox.control("/reset")
    rows = sandbox.inspect("/snapshot")
    assert {kind for kind, of_kind in rows.items() if of_kind} <= {"timer", "clock"}
    assert sandbox.inspect("/clock")["frozen"] is False
