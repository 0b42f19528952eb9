"""What a change writes into a payment."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kernapay.gateway.base import GatewayPayment, GatewayRefund
from kernapay.payments.changes import (
    build_changes,
    end_sale,
    enter_refunds,
    find_reason,
    paid_at,
    replace_dispute,
)
from kernapay.payments.evidence import Origin
from kernapay.payments.history import make_step
from kernapay.payments.models import Dispute, Payment, Step
from kernapay.payments.states import (
    DisputeStatus,
    Event,
    RefundState,
    RefundStatus,
    Source,
    Status,
)

AT = datetime(2026, 1, 2, tzinfo=UTC)
PAID_AT = AT - timedelta(minutes=5)
ORIGIN = Origin(Source.WEBHOOK, "payment.captured", event_id="evt_1", actor="key:1")


def theirs(**changes: Any) -> GatewayPayment:
    facts = {
        "id": "pay_1",
        "amount": 51_180,
        "currency": "INR",
        "status": "captured",
        "method": "upi",
        "fee": 1180,
        "tax": 180,
        "fee_bearer": "customer",
        "offer_id": "offer_1",
        "created_at": int(PAID_AT.timestamp()),
    }
    return GatewayPayment(**{**facts, **changes})


def refund(name: str, status: str) -> GatewayRefund:
    return GatewayRefund(name, "pay_1", 700, "INR", status, receipt=f"KPR_{name}")


def test_a_step_keeps_where_the_change_came_from() -> None:
    step = make_step(Status.SUCCESS, AT, ORIGIN, theirs(), "reason", final=True, late=True)
    assert step.to_mongo() == {
        "status": "success",
        "updatedAt": AT,
        "source": "webhook",
        "event": "payment.captured",
        "eventId": "evt_1",
        "actor": "key:1",
        "razorpayPaymentId": "pay_1",
        "reason": "reason",
        "final": True,
        "late": True,
    }


def test_a_step_stores_nothing_that_it_does_not_know() -> None:
    step = make_step(Status.PENDING, AT, Origin(Source.API, "created"))
    assert step.to_mongo() == {
        "status": "pending",
        "updatedAt": AT,
        "source": "api",
        "event": "created",
    }


def test_refunds_that_did_not_fail_are_entered_as_open_ones_and_checked_at_once() -> None:
    given = [refund("rfnd_1", "processed"), refund("rfnd_2", "failed"), refund("rfnd_3", "pending")]
    change = enter_refunds(given, ORIGIN, AT)
    entries = change.pop("push_all__refunds")
    assert change == {
        "set__refund_status": RefundStatus.REQUESTED,
        "set__check_at": AT,
        "set__checks": 0,
    }
    assert [entry.refund_id for entry in entries] == ["rfnd_1", "rfnd_3"]
    assert entries[0].to_mongo() == {
        "refundId": "rfnd_1",
        "receipt": "KPR_rfnd_1",
        "amount": 700,
        "status": RefundState.REQUESTED.value,
        "source": "webhook",
        "speed": "normal",
        "createdAt": AT,
        "updatedAt": AT,
    }


@pytest.mark.parametrize("given", [[], [refund("rfnd_1", "failed")]])
def test_without_such_refunds_nothing_of_them_is_written(given: list[GatewayRefund]) -> None:
    assert enter_refunds(given, ORIGIN, AT) == {}


def dispute(**changes: Any) -> Dispute:
    facts = {"dispute_id": "disp_1", "payment_id": "pay_1", "amount": 1, "currency": "INR"}
    return Dispute(**{**facts, "phase": "fraud", "status": DisputeStatus.OPEN, **changes})


def test_a_new_dispute_is_added_unless_somebody_added_it_or_the_status_changed() -> None:
    payment, step, new = Payment(status=Status.SUCCESS), Step(at=AT), dispute()
    where, change = replace_dispute(payment, None, new, step)
    assert where == {
        "status": Status.SUCCESS,
        "__raw__": {"disputes.disputeId": {"$ne": "disp_1"}},
    }
    assert change == {
        "push__history": step,
        "set__announce": AT,
        "push__disputes": new,
        "set__disputed": True,
    }


def test_a_known_dispute_is_replaced_unless_somebody_changed_it_or_the_status() -> None:
    payment, step = Payment(status=Status.REFUNDED), Step(at=AT)
    known, new = dispute(revision=4), dispute(revision=5, amount=2)
    where, change = replace_dispute(payment, known, new, step)
    assert where == {
        "status": Status.REFUNDED,
        "__raw__": {"disputes": {"$elemMatch": {"disputeId": "disp_1", "revision": 4}}},
    }
    update = change.pop("__raw__")
    assert change == {"push__history": step, "set__announce": AT}
    assert update["$set"] == {f"disputes.$.{name}": v for name, v in new.to_mongo().items()}
    assert "disputes.$.respondBy" in update["$unset"]
    assert not update["$set"].keys() & update["$unset"].keys()


@pytest.mark.parametrize("event", list(Event))
def test_only_a_refusal_has_the_gateways_reason(event: Event) -> None:
    refused = theirs(error_reason="payment_failed", error_code="BAD_REQUEST_ERROR")
    is_refusal = event is Event.DECLINED
    assert find_reason(event, refused) == ("payment_failed" if is_refusal else None)
    assert find_reason(event, None) is None


def test_without_a_reason_a_refusal_has_the_gateways_code() -> None:
    refused = theirs(error_code="BAD_REQUEST_ERROR")
    assert find_reason(Event.DECLINED, refused) == "BAD_REQUEST_ERROR"


@pytest.mark.parametrize("event", [Event.CAPTURED, Event.EXPIRED])
def test_a_move_that_is_final_ends_the_sale(event: Event) -> None:
    assert end_sale(event, AT) == {"set__final": True, "unset__ends_at": True}


def test_a_cancelled_sale_has_ended_and_says_since_when() -> None:
    ended = {"set__final": True, "unset__ends_at": True, "set__cancelled_at": AT}
    assert end_sale(Event.CANCELLED, AT) == ended


def test_a_declined_attempt_ends_nothing() -> None:
    assert end_sale(Event.DECLINED, AT) == {}
    assert end_sale(Event.CAPTURED, AT, late=True)["set__late"] is True


def test_captured_money_is_stored_as_the_gateway_has_it() -> None:
    assert build_changes(Event.CAPTURED, theirs(), "signature", AT) == {
        "set__razorpay_payment_id": "pay_1",
        "set__payment_method": "upi",
        "set__amount_paid": 51_180,
        "set__fee": 1180,
        "set__tax": 180,
        "set__fee_bearer": "customer",
        "set__offer_id": "offer_1",
        "set__paid_at": PAID_AT,
        "set__razorpay_signature": "signature",
    }


def test_without_a_signature_the_stored_one_stays() -> None:
    change = build_changes(Event.CAPTURED, theirs(fee_bearer=1), None, AT)
    assert "set__razorpay_signature" not in change
    assert change["set__fee_bearer"] == "1", "text, as the gateway may give a number"
    without = build_changes(Event.CAPTURED, theirs(fee_bearer=None), None, AT)
    assert without["set__fee_bearer"] is None


@pytest.mark.parametrize("event", [Event.DECLINED, Event.EXPIRED, Event.CANCELLED])
def test_an_attempt_without_money_stores_only_which_it_was(event: Event) -> None:
    assert build_changes(event, theirs(), "signature", AT) == {
        "set__razorpay_payment_id": "pay_1",
        "set__payment_method": "upi",
    }
    assert build_changes(event, None, None, AT) == {}


def test_the_payer_paid_when_the_gateway_says_but_never_in_the_future() -> None:
    assert paid_at(theirs(), AT) == PAID_AT
    assert paid_at(theirs(created_at=0), AT) == AT
    ahead = int((AT + timedelta(hours=1)).timestamp())
    assert paid_at(theirs(created_at=ahead), AT) == AT
