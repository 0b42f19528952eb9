"""The gateway's refund.* events: added up right, whatever their order."""

from typing import Any

import pytest

from tests.actors import Actor, send_event, status
from tests.aliases import Store
from tests.databases import row_of
from tests.factories import gateway_payment, gateway_refund
from tests.stack import Api, Sandbox
from tests.waiting import eventually


class Sale:
    """A captured payment, and the gateway's events about it."""

    def __init__(self, user: Actor, *, captured: bool = True) -> None:
        self.user = user
        self.payment = user.new_payment()
        self.entity = gateway_payment(self.payment["orderId"])
        if captured:
            send_event(user.client, "payment.captured", payment=self.entity)

    def refund(self, amount: int, **changes: Any) -> dict[str, Any]:
        return gateway_refund(self.entity, amount, **changes)

    def send_refund_event(self, name: str, refund: dict[str, Any], **changes: Any) -> None:
        entity = {**self.entity, **changes}
        answer = send_event(self.user.client, name, payment=entity, refund=refund)
        assert answer.status_code == 200

    def standing(self) -> tuple[str, str, int]:
        seen = self.user.seen(self.payment["referenceId"])
        listed = self.user.history().json()[0]
        for name in ("status", "refundStatus", "amountRefunded"):
            assert listed[name] == seen[name]
        return seen["status"], seen["refundStatus"], seen["amountRefunded"]


@pytest.fixture
def sale(user: Actor, sandbox: Sandbox) -> Sale:
    return Sale(user)


def test_before_any_refund_none_is_requested(sale: Sale) -> None:
    assert sale.standing() == ("success", "not_requested", 0)


def test_a_full_refund_ends_the_payment(sale: Sale) -> None:
    refund = sale.refund(50_000, status="pending")
    sale.send_refund_event("refund.created", refund)
    assert sale.standing() == ("success", "requested", 0)
    sale.send_refund_event("refund.processed", {**refund, "status": "processed"})
    assert sale.standing() == ("refunded", "completed", 50_000)


def test_two_partial_refunds_add_up(sale: Sale) -> None:
    first, second = sale.refund(20_000), sale.refund(30_000)
    sale.send_refund_event("refund.processed", first)
    assert sale.standing() == ("success", "requested", 20_000)
    sale.send_refund_event("refund.processed", second)
    assert sale.standing() == ("refunded", "completed", 50_000)
    refunds = sale.user.seen(sale.payment["referenceId"])["refunds"]
    assert [(r["refundId"], r["amount"], r["status"]) for r in refunds] == [
        (first["id"], 20_000, "processed"),
        (second["id"], 30_000, "processed"),
    ]


@pytest.mark.owasp(line="API6")
def test_the_same_refund_told_often_counts_once(sale: Sale) -> None:
    refund = sale.refund(20_000)
    for number in range(3):
        sale.send_refund_event("refund.processed", refund, amount_refunded=number)
    assert sale.standing() == ("success", "requested", 20_000)
    seen = sale.user.seen(sale.payment["referenceId"])
    assert len(seen["refunds"]) == 1
    assert len(seen["history"]) == 3


def test_news_in_the_wrong_order_come_to_the_same(sale: Sale) -> None:
    refund = sale.refund(50_000)
    sale.send_refund_event("refund.processed", refund)
    sale.send_refund_event("refund.created", {**refund, "status": "pending"})
    assert sale.standing() == ("refunded", "completed", 50_000)


def test_a_refund_told_before_its_capture_proves_the_capture(user: Actor, sandbox: Sandbox) -> None:
    sale = Sale(user, captured=False)
    assert status(user.client, sale.payment)["status"] == "pending"
    sale.send_refund_event("refund.processed", sale.refund(10_000))
    assert sale.standing() == ("success", "requested", 10_000)
    send_event(user.client, "payment.captured", payment=sale.entity)
    assert sale.standing() == ("success", "requested", 10_000)


def test_a_refund_that_fails_returns_nothing(sale: Sale) -> None:
    refund = sale.refund(50_000, status="pending")
    sale.send_refund_event("refund.created", refund)
    sale.send_refund_event("refund.failed", {**refund, "status": "failed"})
    assert sale.standing() == ("success", "not_requested", 0)


def test_a_refund_sent_back_after_it_was_processed_undoes_it(sale: Sale) -> None:
    refund = sale.refund(50_000)
    sale.send_refund_event("refund.processed", refund)
    assert sale.standing() == ("refunded", "completed", 50_000)
    sale.send_refund_event("refund.failed", {**refund, "status": "failed"})
    assert sale.standing() == ("success", "not_requested", 0)
    sale.send_refund_event("refund.processed", sale.refund(50_000))
    assert sale.standing() == ("refunded", "completed", 50_000)


@pytest.mark.owasp(line="API10")
def test_a_refund_of_another_payment_changes_nothing(sale: Sale, store: Store) -> None:
    stray = {**sale.refund(50_000), "payment_id": "pay_another"}
    sale.send_refund_event("refund.processed", stray)
    assert sale.standing() == ("success", "not_requested", 0)
    row = row_of(store.payments, referenceId=sale.payment["referenceId"])
    assert [m["reason"] for m in row["mismatches"]] == ["refund_of_another_payment"]


def test_refunds_made_at_the_gateways_dashboard_arrive_by_webhook(
    api_server: Api, user: Actor, sandbox: Sandbox
) -> None:
    sandbox.deliver_to(api_server.url)
    payment, checkout = user.buy(sandbox)
    sandbox.refund(checkout["razorpay_payment_id"], 20_000)
    eventually(lambda: status(user.client, payment)["amountRefunded"] == 20_000)
    assert status(user.client, payment)["status"] == "success"
    sandbox.refund(checkout["razorpay_payment_id"])
    eventually(lambda: status(user.client, payment)["status"] == "refunded")
    shown = status(user.client, payment)
    assert (shown["amountRefunded"], shown["refundStatus"]) == (50_000, "completed")


def test_a_refund_that_fails_later_at_the_gateway_is_taken_back(
    api_server: Api, user: Actor, sandbox: Sandbox
) -> None:
    sandbox.deliver_to(api_server.url)
    payment, checkout = user.buy(sandbox)
    sandbox.fault("refund_fails_later")
    sandbox.refund(checkout["razorpay_payment_id"])
    eventually(lambda: status(user.client, payment)["refundStatus"] != "not_requested")
    sandbox.advance(120)
    eventually(lambda: status(user.client, payment)["refundStatus"] == "not_requested")
    shown = status(user.client, payment)
    assert (shown["status"], shown["amountRefunded"]) == ("success", 0)
