"""What was accepted is kept, whatever ends the process."""

import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.sandbox.box import KEY, WEBHOOK_SECRET, Box, Receiver, wait_for


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    box = Box(tmp_path, "--data", str(tmp_path / "books.sqlite"), SANDBOX_WEBHOOK_BACKOFF="0.2")
    try:
        yield box.start()
    finally:
        box.close()


class Burst:
    """Clients that create and pay orders until the sandbox is gone, noting what was accepted."""

    def __init__(self, url: str, clients: int) -> None:
        self.accepted: list[str] = []
        self.paid: list[str] = []
        self._url = url
        self._threads = [threading.Thread(target=self._run) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        with httpx.Client(base_url=self._url, auth=KEY, trust_env=False) as client:
            try:
                while True:
                    order = client.post("/v1/orders", json={"amount": 50_000, "currency": "INR"})
                    order_id = order.json()["id"]
                    self.accepted.append(order_id)
                    client.post("/_sandbox/pay", json={"order_id": order_id}).raise_for_status()
                    self.paid.append(order_id)
            except httpx.TransportError:
                return

    def join(self) -> None:
        for thread in self._threads:
            thread.join(10)


def test_kill_9_in_a_burst_loses_no_accepted_order_and_no_pending_delivery(
    box: Box, receiver: Receiver
) -> None:
    receiver.otherwise = 503
    box.control("/webhooks", url=receiver.url, secret=WEBHOOK_SECRET)
    burst = Burst(box.url, clients=6)
    wait_for(lambda: len(burst.paid) >= 40)
    box.end(signal.SIGKILL)
    burst.join()
    receiver.otherwise = 200
    receiver.hooks.clear()
    box.start()

    rows = box.look("/snapshot")
    assert set(burst.accepted) <= {order["id"] for order in rows["order"]}
    captured = {p["order_id"] for p in rows["payment"] if p["status"] == "captured"}
    assert set(burst.paid) <= captured
    # Each captured payment has its three events, and each of them arrives now.
    wait_for(lambda: not box.look("/deliveries?status=pending")["items"], 30)
    told = {hook.body for hook in receiver.hooks}
    for order_id in burst.paid:
        events = sorted(h.event for h in receiver.hooks if order_id.encode() in h.body)
        assert set(events) == {"payment.authorized", "payment.captured", "order.paid"}
    assert len(told) >= 3 * len(burst.paid)


def test_a_graceful_end_leaves_everything_in_place(box: Box) -> None:
    order = box.order(receipt="kept")
    payment = box.paid()
    fault = box.fault("rate_limit", route="/v1/never", times=3)
    box.control("/clock", now=1_767_225_600, frozen=True)
    before = box.look("/snapshot")
    assert box.end() == 0
    box.start()
    assert box.look("/snapshot") == before
    assert box.ok("GET", "/v1/orders", params={"receipt": "kept"})["items"] == [order]
    assert box.payment(payment["id"]) == payment
    assert box.look("/faults")["items"] == [fault]
    assert box.look("/clock") == {"now": 1_767_225_600, "frozen": True}


def test_what_was_to_happen_still_happens_after_a_restart(box: Box) -> None:
    order = box.order(payment={"capture": "manual"})
    payment_id = box.pay(order)["razorpay_payment_id"]
    box.end(signal.SIGKILL)
    box.start()
    box.advance(4 * 86_400)
    assert box.payment(payment_id)["status"] == "refunded"


def test_a_retry_that_was_due_comes_after_a_restart(box: Box, receiver: Receiver) -> None:
    receiver.answers.append(500)
    box.control("/webhooks", url=receiver.url, secret=WEBHOOK_SECRET)
    box.control("/clock", now=1_767_225_600, frozen=True)
    box.pay(box.order(), outcome="failure")
    wait_for(lambda: box.look("/deliveries")["items"][0]["tries"] == 1)
    box.end(signal.SIGKILL)
    box.start()
    box.advance(1)
    assert len({hook.event_id for hook in receiver.wait(2)}) == 1


def test_two_sandboxes_do_not_share_one_file(box: Box, tmp_path: Path) -> None:
    second = Box(tmp_path, "--data", str(tmp_path / "books.sqlite"))
    try:
        with pytest.raises(AssertionError, match="another sandbox uses it"):
            second.start()
    finally:
        second.close()


def test_a_snapshot_brings_everything_back(box: Box) -> None:
    order = box.order()
    box.pay(order)
    snapshot = box.look("/snapshot")
    box.control("/reset")
    assert box.ok("GET", "/v1/orders")["count"] == 0
    box.control("/snapshot", "PUT", **snapshot)
    assert box.look("/snapshot") == snapshot
    box.end(signal.SIGKILL)
    box.start()
    assert box.ok("GET", f"/v1/orders/{order['id']}")["status"] == "paid"


def test_a_broken_snapshot_is_refused_and_changes_nothing(box: Box) -> None:
    box.pay(box.order())
    snapshot = box.look("/snapshot")
    orphan = {**snapshot, "order": []}
    for bad in (orphan, {"order": [{"id": 5}]}, {"order": {}}, {"order": ["x"]}):
        answer = box.stranger.put("/_sandbox/snapshot", json=bad)
        assert answer.status_code == 400, bad
        assert box.look("/snapshot") == snapshot


def test_reset_keeps_only_what_the_configuration_names(box: Box) -> None:
    box.order()
    box.fault("delay")
    box.control("/webhooks", url="http://127.0.0.1:9/x", secret="s")
    box.control("/clock", frozen=True)
    box.control("/reset")
    rows = box.look("/snapshot")
    assert {kind for kind, found in rows.items() if found} <= {"timer", "clock"}
    assert box.look("/clock")["frozen"] is False
