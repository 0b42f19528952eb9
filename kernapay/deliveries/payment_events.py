"""Make the events of a payment. They follow from its row and its steps, so every process makes the same ones."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

import msgspec
from msgspec import field

from kernapay.deliveries.drafts import Draft, Mark
from kernapay.deliveries.ids import make_event_id
from kernapay.deliveries.models import EventType
from kernapay.deliveries.old_steps import RefundRow, complete_step
from kernapay.deliveries.payloads import DisputeEvent, PaymentEvent, RefundEvent
from kernapay.deliveries.payment_types import (
    DisputeFacts,
    RefundFacts,
    Standing,
    StepFacts,
    find_type,
)
from kernapay.payments.disputes.dtos import DisputeView
from kernapay.payments.dtos import RefundView
from kernapay.payments.evidence import IMPORTED
from kernapay.payments.facts import PaymentFacts
from kernapay.payments.states import Status

_FACTS: Final = tuple(each.name for each in msgspec.structs.fields(PaymentFacts))
_OF_REFUND: Final = tuple(each.name for each in msgspec.structs.fields(RefundView))
_OF_DISPUTE: Final = tuple(each.name for each in msgspec.structs.fields(DisputeView))
# What is known of a payment once it is paid.
_WHEN_PAID: Final = (
    "razorpay_payment_id",
    "payment_method",
    "paid_at",
    "amount_paid",
    "fee_bearer",
    "offer_id",
)


class PaymentRow(PaymentFacts, kw_only=True, rename="camel"):
    """A payment as the relay reads it. `announced` is how many of its steps have events."""

    history: list[StepFacts] = field(default_factory=list)
    refunds: list[RefundRow] = field(default_factory=list)
    disputes: list[DisputeFacts] = field(default_factory=list)
    announced: int | None = None

    def first_untold(self, since: datetime) -> int:
        """Return the index of the first step that needs an event: without `announced`, the first after `since`."""
        if self.announced is not None:
            return self.announced
        times = (index for index, step in enumerate(self.history) if step.updated_at >= since)
        return next(times, len(self.history))


def without_texts(row: PaymentRow) -> PaymentRow:
    """Return the payment without the texts of its business, which may name the buyer. See `clear_texts`."""
    refunds = [msgspec.structs.replace(each, reason=None) for each in row.refunds]
    return msgspec.structs.replace(row, description=None, notes={}, metadata={}, refunds=refunds)


def draft_events(row: PaymentRow, first: int) -> Iterator[Draft]:
    """Yield the events of the steps from the first one that has none."""
    standing = Standing()
    before: list[Mark] = []
    for index, stored in enumerate(row.history):
        step = complete_step(stored, row.refunds, row.disputes)
        # Rows of another system may have begun without a step.
        is_first = index == 0 and step.status is Status.PENDING
        event_type = find_type(step, standing, is_first=is_first, cancelled_at=row.cancelled_at)
        last = standing.copy() if index >= first else standing
        standing.apply(step, event_type)
        if event_type is None:
            continue
        mark = _mark(row, index, step, event_type)
        if index >= first and stored.event != IMPORTED:
            data = _build_data(row, index, step, event_type, last, standing)
            yield Draft(mark, data, tuple(before))
        before.append(mark)


def _mark(row: PaymentRow, index: int, step: StepFacts, event_type: EventType) -> Mark:
    part = None
    is_dispute = step.dispute is not None and event_type is not EventType.PAYMENT_CREATED
    if step.refund is not None:
        part = step.refund.receipt or step.refund.refund_id
    elif step.dispute is not None:
        part = step.dispute.dispute_id
    return Mark(
        id=make_event_id(row.id, index, event_type, part),
        type=event_type,
        at=step.updated_at,
        seq=index,
        subject=row.reference_id,
        # Payers see no disputes: one of what an account bought itself is no event of that account.
        shop_id=None if is_dispute and row.customer_id is None else row.user_id,
        provider_id=row.provider_id,
        service_type=row.service_type,
        livemode=row.livemode,
    )


def _build_data(
    row: PaymentRow,
    index: int,
    step: StepFacts,
    event_type: EventType,
    last: Standing,
    standing: Standing,
) -> msgspec.Struct:
    if step.refund is not None and event_type is not EventType.PAYMENT_CREATED:
        return _refund_event(row, index, step, step.refund, last, standing)
    if step.dispute is not None and event_type is not EventType.PAYMENT_CREATED:
        return _dispute_event(row, index, step.dispute, last)
    return _payment_event(row, index, step, last, standing)


def _payment_event(
    row: PaymentRow, index: int, step: StepFacts, last: Standing, standing: Standing
) -> PaymentEvent:
    facts = {name: getattr(row, name) for name in _FACTS}
    if not standing.status.is_paid:
        # It may have been paid since. Then the row says so, and this event is of before.
        facts |= dict.fromkeys(_WHEN_PAID)
        facts["razorpay_payment_id"] = standing.declined_payment_id
    facts |= {
        "status": standing.status,
        "updated_at": step.updated_at,
        "final": standing.final,
        "refund_status": standing.refund_status,
        "amount_refunded": standing.amount_refunded,
        "cancelled_at": standing.cancelled_at,
    }
    return PaymentEvent(
        **facts,
        sequence=index,
        previous=last.status if index else None,
        late=bool(step.late),
        reason=standing.declined_because if standing.status is Status.FAILED else None,
    )


def _refund_event(
    row: PaymentRow,
    index: int,
    step: StepFacts,
    refund: RefundFacts,
    last: Standing,
    standing: Standing,
) -> RefundEvent:
    facts = dict.fromkeys(_OF_REFUND)
    if stored := _find_refund(row, refund):
        facts = {name: getattr(stored, name) for name in _OF_REFUND}
    else:
        del facts["speed"]  # the default one
    facts |= {
        "amount": refund.amount,
        "status": refund.status,
        "refund_id": refund.refund_id,
        "failure": refund.failure,
        "speed_processed": refund.speed_processed,
        "arn": refund.arn,
        "updated_at": step.updated_at,
    }
    return RefundEvent(
        **facts,  # type: ignore[arg-type]
        reference_id=row.reference_id,
        razorpay_payment_id=step.razorpay_payment_id,
        user_id=row.user_id,
        service_type=row.service_type,
        provider_id=row.provider_id,
        customer_id=row.customer_id,
        currency=row.currency,
        payment_status=standing.status,
        amount_refunded=standing.amount_refunded,
        refund_status=standing.refund_status,
        livemode=row.livemode,
        sequence=index,
        previous=last.state_of(refund),
    )


def _find_refund(row: PaymentRow, refund: RefundFacts) -> RefundRow | None:
    for each in row.refunds:
        is_same = each.refund_id == refund.refund_id if refund.refund_id else False
        if is_same or (refund.receipt and each.receipt == refund.receipt):
            return each
    return None


def _dispute_event(
    row: PaymentRow, index: int, dispute: DisputeFacts, last: Standing
) -> DisputeEvent:
    facts = {name: getattr(dispute, name) for name in _OF_DISPUTE}
    known = last.disputes.get(dispute.dispute_id)
    return DisputeEvent(
        **facts,
        reference_id=row.reference_id,
        user_id=row.user_id,
        service_type=row.service_type,
        provider_id=row.provider_id,
        customer_id=row.customer_id,
        held=dispute.held,
        lost=dispute.lost,
        livemode=row.livemode,
        sequence=index,
        previous=known.status if known else None,
    )
