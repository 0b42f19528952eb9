"""Find the event type of a step in a payment's history, by the steps before it. Many steps have no event."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from msgspec import Struct

from kernapay.deliveries.models import EventType
from kernapay.payments.disputes.dtos import DisputeView
from kernapay.payments.states import DisputeStatus, RefundState, RefundStatus, Status

_ACTION_REQUIRED: Final = ".action_required"
_DECIDED: Final = {
    DisputeStatus.WON: EventType.DISPUTE_WON,
    DisputeStatus.LOST: EventType.DISPUTE_LOST,
    DisputeStatus.CLOSED: EventType.DISPUTE_CLOSED,
}


class RefundFacts(Struct, rename="camel"):
    """A refund as a step stores it."""

    amount: int
    status: RefundState
    refund_id: str | None = None
    receipt: str | None = None
    failure: str | None = None
    speed_processed: str | None = None
    arn: str | None = None


class DisputeFacts(DisputeView, kw_only=True, rename="camel"):
    """A dispute as a step stores it."""

    held: int = 0
    lost: int = 0


class StepFacts(Struct, rename="camel"):
    """A step of the history. Those of earlier versions have neither `refund` nor `dispute`."""

    status: Status
    updated_at: datetime
    event: str | None = None
    final: bool | None = None
    late: bool | None = None
    reason: str | None = None
    razorpay_payment_id: str | None = None
    amount_refunded: int | None = None
    refund_status: RefundStatus | None = None
    refund: RefundFacts | None = None
    dispute: DisputeFacts | None = None


@dataclass(slots=True)
class Standing:
    """The state of a payment after some of its steps."""

    status: Status = Status.PENDING
    final: bool = False
    amount_refunded: int = 0
    refund_status: RefundStatus = RefundStatus.NOT_REQUESTED
    declined_payment_id: str | None = None
    declined_because: str | None = None
    cancelled_at: datetime | None = None
    refunds: dict[str, RefundState] = field(default_factory=dict)
    """By their receipts and by the gateway's ids."""
    disputes: dict[str, DisputeFacts] = field(default_factory=dict)

    def copy(self) -> "Standing":
        return replace(self, refunds={**self.refunds}, disputes={**self.disputes})

    def state_of(self, refund: RefundFacts) -> RefundState | None:
        """Return the state of a refund before its step."""
        # Its receipt may have come to light only now, while the gateway's id was told of before.
        known = self.refunds.get(refund.refund_id or "")
        return known or self.refunds.get(refund.receipt or "")

    def apply(self, step: StepFacts, event_type: EventType | None) -> None:
        """Apply a step. `event_type` is its event, if any."""
        if step.status is Status.FAILED and not step.final and self.status is not Status.FAILED:
            self.declined_payment_id = step.razorpay_payment_id
            self.declined_because = step.reason
        self.status = step.status
        self.final = self.final or bool(step.final)
        if event_type is EventType.PAYMENT_CANCELLED:
            self.cancelled_at = step.updated_at
        if step.amount_refunded is not None:
            self.amount_refunded = step.amount_refunded
        if step.refund_status is not None:
            self.refund_status = step.refund_status
        if step.refund is not None:
            for name in (step.refund.receipt, step.refund.refund_id):
                if name is not None:
                    self.refunds[name] = step.refund.status
        if step.dispute is not None:
            self.disputes[step.dispute.dispute_id] = step.dispute


def find_type(
    step: StepFacts, before: Standing, *, is_first: bool, cancelled_at: datetime | None
) -> EventType | None:
    """Return the type of a step's event, None if it has no event.

    `cancelled_at` is when the sale was cancelled, if it ever was.
    """
    if is_first:
        return EventType.PAYMENT_CREATED
    if step.refund is not None:
        return _find_refund_type(step.refund, before.state_of(step.refund))
    if step.dispute is not None:
        return _find_dispute_type(step, step.dispute, before.disputes.get(step.dispute.dispute_id))
    if step.status is Status.SUCCESS and not before.status.is_paid:
        return EventType.PAYMENT_SUCCEEDED
    # Until the sale has ended, a payment that was declined may still be paid with the same order.
    if step.status is not Status.FAILED or not step.final:
        return None
    if step.updated_at == cancelled_at:
        return EventType.PAYMENT_CANCELLED
    has_tried = before.status is Status.FAILED
    return EventType.PAYMENT_FAILED if has_tried else EventType.PAYMENT_EXPIRED


def _find_refund_type(refund: RefundFacts, before: RefundState | None) -> EventType | None:
    if refund.status is before:
        return None  # only a detail came to light, such as the bank's reference
    match refund.status:
        case RefundState.PROCESSED:
            return EventType.REFUND_PROCESSED
        case RefundState.FAILED:
            return EventType.REFUND_FAILED
    is_known = before is RefundState.REQUESTED or before is RefundState.PENDING
    return None if is_known else EventType.REFUND_REQUESTED


def _find_dispute_type(
    step: StepFacts, dispute: DisputeFacts, before: DisputeFacts | None
) -> EventType | None:
    is_changed = before is None or _stakes_of(dispute) != _stakes_of(before)
    if decided := _DECIDED.get(dispute.status):
        return decided if is_changed else None
    if before is None or before.status.is_decided:
        return EventType.DISPUTE_OPENED
    if dispute.status is not DisputeStatus.OPEN:
        return None  # the bank looks at the evidence
    is_named = (step.event or "").endswith(_ACTION_REQUIRED)
    return EventType.DISPUTE_ACTION_REQUIRED if is_changed or is_named else None


def _stakes_of(dispute: DisputeFacts) -> tuple[object, ...]:
    return (
        dispute.status,
        dispute.phase,
        dispute.amount,
        dispute.amount_deducted,
        dispute.held,
        dispute.lost,
        dispute.respond_by,
    )
