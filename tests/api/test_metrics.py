"""What the API counts and measures, read from its `/metrics`."""

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from kernapay import __version__
from tests.actors import Actor, request_refund, send_event
from tests.aliases import Json, Store
from tests.databases import row_of
from tests.exposition import Exposition
from tests.factories import gateway_payment, unique
from tests.stack import Api, Sandbox, StartApi
from tests.waiting import eventually

ZERO = [
    ("kernapay_webhooks_total", {"outcome": "kept"}),
    ("kernapay_payments_total", {"status": "success", "method": "upi", "source": "webhook"}),
    ("kernapay_payment_moves_total", {"status": "failed", "source": "reconciliation"}),
    ("kernapay_payment_mismatches_total", {"source": "checkout"}),
    ("kernapay_surplus_payments_total", {"reason": "late_payment"}),
    ("kernapay_gateway_calls_total", {"call": "POST orders", "outcome": "unanswered"}),
    ("kernapay_gateway_calls_not_made_total", {}),
    ("kernapay_messages_total", {"channel": "sms", "outcome": "failed"}),
    ("kernapay_queue_rows_total", {"queue": "inbox", "outcome": "parked"}),
    ("kernapay_unreadable_rows_total", {"collection": "payments"}),
    ("kernapay_cache_reads_total", {"entry": "payment_history", "outcome": "hit"}),
    ("kernapay_cache_fills_total", {"entry": "payment_history", "outcome": "lease_lost"}),
    ("kernapay_webhook_lag_seconds_count", {"stage": "processed"}),
]


@pytest.fixture
def grown(api_server: Api) -> Callable[..., float]:
    """Return by how much the samples with some labels have grown since the start of the test."""
    before = Exposition.of(api_server.client)

    def growth(name: str, **labels: str) -> float:
        earlier = sum(sample.value for sample in before.matching(name, **labels))
        return Exposition.of(api_server.client).sum(name, **labels) - earlier

    return growth


@pytest.mark.parametrize("workers", [1, 2])
def test_counters_exist_at_zero_from_the_start(start_api: StartApi, workers: int) -> None:
    scraped = Exposition.of(start_api(workers).client)
    for name, labels in ZERO:
        assert scraped.sum(name, **labels) == 0, name


def test_the_version_and_the_stores_are_told(api: httpx.Client) -> None:
    scraped = Exposition.of(api)
    assert scraped.sum("kernapay_build_info", version=__version__) == 1
    assert scraped.sum("kernapay_mongodb_up") == 1
    assert scraped.sum("kernapay_redis_up") == 1


def test_stores_that_are_away_are_told(start_api: StartApi) -> None:
    with_nobody = "redis://127.0.0.1:1/0"
    server = start_api(REDIS_URL=with_nobody)
    scraped = Exposition.of(server.client)
    assert scraped.sum("kernapay_redis_up") == 0
    assert scraped.sum("kernapay_mongodb_up") == 1


def test_a_sale_is_counted(
    user: Actor, admin: Actor, sandbox: Sandbox, grown: Callable[..., float]
) -> None:
    payment, checkout = user.buy(sandbox)
    method = str(sandbox.payment(checkout["razorpay_payment_id"])["method"])
    assert grown("kernapay_payments_total", status="pending", method="none", source="api") == 1
    paid = {"status": "success", "method": method, "source": "checkout"}
    assert grown("kernapay_payments_total", **paid) == 1
    assert grown("kernapay_payment_moves_total", status="success", source="checkout") == 1
    assert grown("kernapay_gateway_calls_total", call="POST orders", outcome="ok") == 1
    assert grown("kernapay_gateway_call_seconds_count", call="POST orders", outcome="200") == 1
    assert grown("kernapay_pool_wait_seconds_count", pool="gateway") >= 2
    assert grown("kernapay_pool_wait_seconds_count", pool="database") >= 2
    assert request_refund(admin, payment).is_success
    assert grown("kernapay_payments_total", status="refunded", method=method) == 1


def test_a_gateway_that_fails_or_does_not_answer_is_counted(
    user: Actor, sandbox: Sandbox, grown: Callable[..., float]
) -> None:
    sandbox.fault("server_error", route="/v1/orders", method="POST")
    assert user.create().status_code == 503
    assert grown("kernapay_gateway_calls_total", call="POST orders", outcome="failed") == 1


def test_reads_of_the_cache_are_counted_by_entry(user: Actor, grown: Callable[..., float]) -> None:
    for _ in range(3):
        assert user.history().status_code == 200
    reads = "kernapay_cache_reads_total"
    assert grown(reads, entry="payment_history", outcome="miss") >= 1
    assert grown(reads, entry="payment_history", outcome="hit") >= 2
    assert grown("kernapay_cache_fills_total", entry="payment_history", outcome="stored") == 1
    assert grown("kernapay_batches_total", batch="redis") >= 3
    assert grown("kernapay_batched_requests_total", batch="redis") >= 3


def test_the_lag_of_an_event_is_measured_when_it_comes_and_when_it_is_processed(
    user: Actor, store: Store, sandbox: Sandbox, grown: Callable[..., float]
) -> None:
    payment = user.new_payment()
    event_id = unique("evt_")
    send_event(
        user.client,
        "payment.captured",
        event_id=event_id,
        payment=gateway_payment(payment["orderId"]),
    )
    assert row_of(store.webhook_events, eventId=event_id)["status"] == "processed"
    for stage in ("received", "processed"):
        assert grown("kernapay_webhook_lag_seconds_count", stage=stage) == 1


def test_the_routes_in_the_metrics_are_templates(user: Actor, api: httpx.Client) -> None:
    assert user.call("GET", f"/v1/api/payments/history/{user.id}").status_code == 200
    assert api.get(f"/nowhere/{user.id}").status_code == 404
    scraped = Exposition.of(api)
    assert scraped.sum("kernapay_http_request_seconds_count", route="unmatched") >= 1
    route = "/v1/api/payments/history/{user_id}"
    assert scraped.sum("kernapay_http_request_seconds_count", route=route, status="200") >= 1


def test_no_label_is_an_id_or_an_address(user: Actor, sandbox: Sandbox, api: httpx.Client) -> None:
    user.buy(sandbox)
    odd = re.compile(r"[0-9a-f]{24}|PAY_|\b(order|pay|rfnd|evt)_\w{8,}|@|\d+\.\d+\.\d+\.\d+")
    values = {
        f"{sample.name} {name}={value}"
        for sample in Exposition.of(api).samples()
        for name, value in sample.labels.items()
        if name != "version" and odd.search(value)
    }
    assert values == set()


def test_the_event_loop_and_the_pools_are_measured(api: httpx.Client) -> None:
    scraped = eventually(lambda: _measured(api))
    for pool in ("database", "gateway", "hashing", "files"):
        assert scraped.sum("kernapay_pool_threads", pool=pool) >= 1
        assert scraped.sum("kernapay_pool_waiting_calls", pool=pool) == 0


def _measured(client: httpx.Client) -> Exposition | None:
    scraped = Exposition.of(client)
    has_delays = scraped.sum("kernapay_event_loop_delay_seconds_count") > 0
    has_pools = list(scraped.matching("kernapay_pool_busy_threads", pool="database"))
    return scraped if has_delays and has_pools else None


def test_a_worker_that_died_has_no_threads_any_more(start_api: StartApi) -> None:
    server = start_api(2)

    def threads() -> float:
        found = Exposition.of(server.client).matching("kernapay_pool_threads", pool="hashing")
        return sum(sample.value for sample in found)

    both = 2 * 2
    eventually(lambda: threads() == both)
    # One that starts has threads before it listens. Without the other, nobody would answer until then.
    eventually(lambda: _listening(server) == 2)
    pid = eventually(lambda: _child_of(server))
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: server.log_entries("worker_died"))
    eventually(lambda: _children(server) and pid not in _children(server) and threads() == both)


def _listening(server: Api) -> int:
    """Return how many sockets listen at the port of a server: each worker has its own."""
    address = f"0100007F:{server.port:04X} 00000000:0000 0A"
    return Path("/proc/net/tcp").read_text().count(address)


def _children(server: Api) -> list[int]:
    path = f"/proc/{server.process.pid}/task/{server.process.pid}/children"
    with open(path) as file:
        return [int(pid) for pid in file.read().split()]


def _child_of(server: Api) -> int | None:
    children = _children(server)
    return children[-1] if len(children) >= 2 else None


def test_open_findings_and_mismatches_are_counted(
    user: Actor, store: Store, sandbox: Sandbox, api: httpx.Client
) -> None:
    payment: Json = user.new_payment()
    wrong = gateway_payment(payment["orderId"], amount=1)
    send_event(user.client, "payment.captured", event_id=unique("evt_"), payment=wrong)
    assert row_of(store.payments, referenceId=payment["referenceId"])["mismatches"]
    before = Exposition.of(api)
    assert before.sum("kernapay_open_mismatches", reason="amount") >= 1
    placed = {"status": "success", "razorpayPaymentId": wrong["id"]}
    store.payments.update_one({"referenceId": payment["referenceId"]}, {"$set": placed})
    after = Exposition.of(api)
    closed = before.sum("kernapay_open_mismatches") - after.sum("kernapay_open_mismatches")
    assert closed == 1
    row = {"kind": "amount", "repairedAt": None, "reportId": payment["orderId"]}
    found = store.reconciliation_findings.insert_one(row).inserted_id
    try:
        now = Exposition.of(api)
        growth = now.sum("kernapay_open_findings", kind="amount") - after.sum(
            "kernapay_open_findings", kind="amount"
        )
        assert growth == 1
    finally:
        store.reconciliation_findings.delete_one({"_id": found})
