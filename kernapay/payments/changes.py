"""Build the updates that store the gateway's data, refunds and disputes in a payment."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from kernapay.gateway.base import GatewayPayment, GatewayRefund
from kernapay.payments.evidence import Origin
from kernapay.payments.history import push_step
from kernapay.payments.models import Dispute, Mismatch, Payment, Refund, Step
from kernapay.payments.states import MOVES, Event, RefundState, RefundStatus

# Why settlement enters money that came after the end of its sale as a mismatch: it waits for a person.
_HELD: Final = "late_payment"


def enter_refunds(refunds: Sequence[GatewayRefund], origin: Origin, at: datetime) -> dict[str, Any]:
    """Return the update that adds these refunds as open ones, and lets the worker check them at once."""
    entries = [
        Refund(
            refund_id=each.id,
            receipt=each.receipt,
            amount=each.amount,
            status=RefundState.REQUESTED,
            source=origin.source,
            created_at=at,
            updated_at=at,
        )
        for each in refunds
        if each.status != RefundState.FAILED
    ]
    if not entries:
        return {}
    return {
        "push_all__refunds": entries,
        "set__refund_status": RefundStatus.REQUESTED,
        "set__check_at": at,
        "set__checks": 0,
    }


def replace_dispute(
    payment: Payment, known: Dispute | None, dispute: Dispute, step: Step
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the conditions and the update that store a dispute in place of the one that was read, or as a new one.

    The conditions fail when anybody changed the dispute, or the payment's status, since they were read.
    """
    where: dict[str, Any] = {"status": payment.status}
    step.dispute = dispute
    change = push_step(step)
    if known is None:
        where["__raw__"] = {"disputes.disputeId": {"$ne": dispute.dispute_id}}
        change["push__disputes"] = dispute
        change["set__disputed"] = True
    else:
        same = {"disputeId": known.dispute_id, "revision": known.revision}
        where["__raw__"] = {"disputes": {"$elemMatch": same}}
        change["__raw__"] = _replace_fields(dispute)
    return where, change


def _replace_fields(dispute: Dispute) -> dict[str, Any]:
    """Return the update that replaces the fields of a dispute that this version knows, and keeps all others."""
    row = dispute.to_mongo()
    columns = {field.db_field for field in Dispute._fields.values()}
    return {
        "$set": {f"disputes.$.{name}": value for name, value in row.items()},
        "$unset": {f"disputes.$.{name}": "" for name in columns - row.keys()},
    }


def enter_mismatch(mismatch: Mismatch) -> dict[str, Any]:
    """Return the update that adds a mismatch."""
    change: dict[str, Any] = {"push__mismatches": mismatch}
    if mismatch.reason == _HELD:
        change["set__late"] = True
    return change


def find_reason(event: Event, gateway_payment: GatewayPayment | None) -> str | None:
    """Return the gateway's reason for declining a payment."""
    if event is Event.DECLINED and gateway_payment is not None:
        return gateway_payment.error_reason or gateway_payment.error_code
    return None


def end_sale(event: Event, at: datetime, *, late: bool = False) -> dict[str, Any]:
    """Return the update that ends the sale, if the event's move is final. With `late`, it had ended unpaid before."""
    if not MOVES[event].is_final:
        return {}
    change: dict[str, Any] = {"set__final": True, "unset__ends_at": True}
    if late:
        change["set__late"] = True
    if event is Event.CANCELLED:
        change["set__cancelled_at"] = at
    return change


def build_changes(
    event: Event, gateway_payment: GatewayPayment | None, signature: str | None, at: datetime
) -> dict[str, Any]:
    """Return the update that stores the gateway's data with an event."""
    if gateway_payment is None:
        return {}
    change: dict[str, Any] = {
        "set__razorpay_payment_id": gateway_payment.id,
        "set__payment_method": gateway_payment.method,
    }
    if event is Event.CAPTURED:
        bearer = gateway_payment.fee_bearer
        change |= {
            "set__amount_paid": gateway_payment.amount,
            "set__fee": gateway_payment.fee,
            "set__tax": gateway_payment.tax,
            "set__fee_bearer": None if bearer is None else str(bearer),
            "set__offer_id": gateway_payment.offer_id,
            "set__paid_at": paid_at(gateway_payment, at),
        }
        if signature is not None:
            change["set__razorpay_signature"] = signature
    return change


def paid_at(gateway_payment: GatewayPayment, at: datetime) -> datetime:
    """Return when the payer paid. Razorpay: a payment has its time of creation, not of capture."""
    # A clock that is ahead must not date a payment into the future.
    return (
        min(datetime.fromtimestamp(gateway_payment.created_at, UTC), at)
        if gateway_payment.created_at
        else at
    )
