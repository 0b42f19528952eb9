"""The entries of a story that come from the payment's own row: steps, mismatches and settlement rows."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from kernapay.console.story.dtos import EntryKind, StoryActor, StoryEntry
from kernapay.payments.currencies import format_amount
from kernapay.payments.disputes.news import EVENT_PREFIX
from kernapay.payments.models import Mismatch, Payment, Payout, RefundStep, Step
from kernapay.payments.states import RefundState, Source, Status

_SOURCES: Final = {
    Source.API: "by a call of the API",
    Source.CHECKOUT: "by the signature of Checkout",
    Source.WEBHOOK: "by an event of the gateway",
    Source.RECONCILIATION: "by asking the gateway",
    Source.ADMIN: "by an administrator",
}
_BY_EVENT: Final = {
    "created": "Payment created",
    "cancelled": "Sale cancelled",
    "expired": "Sale ended unpaid",
    "rebuilt": "Payment rebuilt from the gateway's records",
}
_BY_STATUS: Final = {
    Status.PENDING: "Waiting for the payer",
    Status.SUCCESS: "Paid",
    Status.FAILED: "Attempt failed",
    Status.REFUNDED: "Refunded",
}
_REFUNDS: Final = {
    RefundState.REQUESTED: "Refund of {amount} requested",
    RefundState.PENDING: "Refund of {amount} accepted by the gateway",
    RefundState.PROCESSED: "{amount} refunded",
    RefundState.FAILED: "Refund of {amount} failed",
}


def entries_of(payment: Payment) -> Iterator[StoryEntry]:
    """Yield the entries that come from the payment's own row, unordered."""
    for number, step in enumerate(payment.history):
        yield _entry_of_step(payment, number, step)
    for number, mismatch in enumerate(payment.mismatches):
        yield _entry_of_mismatch(number, mismatch)
    for number, payout in enumerate(payment.settlements):
        if payout.settled_at is not None:
            yield _entry_of_payout(number, payout, payout.settled_at)


def _entry_of_step(payment: Payment, number: int, step: Step) -> StoryEntry:
    entry = StoryEntry(
        id=f"step-{number}",
        at=step.at,
        kind=EntryKind.STATUS,
        title=_BY_EVENT.get(step.event or "") or _BY_STATUS[step.status],
        detail=_detail_of(step),
        status=step.status,
        is_failure=step.status is Status.FAILED,
        source=step.source,
        event=step.event,
        actor=StoryActor(step.actor) if step.actor else None,
        evidence_id=step.event_id,
    )
    if step.refund is not None:
        _describe_refund(payment, step, step.refund, entry)
    elif step.dispute is not None or (step.event or "").startswith(EVENT_PREFIX):
        _describe_dispute(step, entry)
    elif step.event == "surplus" or (step.reason or "").startswith("surplus"):
        entry.kind = EntryKind.SURPLUS
        entry.title = "Money that is not for this sale"
        entry.is_failure = False
    elif (step.event or "").startswith("refund"):
        entry.kind = EntryKind.REFUND
        entry.title = "Refund changed"
    return entry


def _describe_refund(payment: Payment, step: Step, refund: RefundStep, entry: StoryEntry) -> None:
    entry.kind = EntryKind.REFUND
    shown = format_amount(refund.amount, payment.currency)
    entry.title = _REFUNDS[refund.status].format(amount=shown)
    entry.amount = refund.amount
    entry.is_failure = refund.status is RefundState.FAILED
    parts = [refund.failure, refund.refund_id, refund.arn and f"bank reference {refund.arn}"]
    entry.detail = _joined(_detail_of(step), *parts)


def _describe_dispute(step: Step, entry: StoryEntry) -> None:
    entry.kind = EntryKind.DISPUTE
    entry.title = "Dispute changed"
    dispute = step.dispute
    if dispute is not None:
        entry.title = (
            f"Dispute ({dispute.phase.replace('_', ' ')}): {dispute.status.replace('_', ' ')}"
        )
        entry.amount = dispute.amount
        entry.is_failure = dispute.status.value in ("open", "lost")
        entry.evidence_id = dispute.dispute_id
        entry.detail = _joined(dispute.reason_description or dispute.reason_code, entry.detail)


def _entry_of_mismatch(number: int, mismatch: Mismatch) -> StoryEntry:
    ids = (mismatch.payment_id, mismatch.order_id, mismatch.dispute_id)
    return StoryEntry(
        id=f"mismatch-{number}",
        at=mismatch.at,
        kind=EntryKind.MISMATCH,
        title=f"Evidence does not match: {mismatch.reason.replace('_', ' ')}",
        detail=_joined("It changed nothing", *ids),
        is_failure=True,
        source=mismatch.source,
        event=mismatch.event,
        amount=mismatch.amount,
        actor=StoryActor(mismatch.actor) if mismatch.actor else None,
        evidence_id=mismatch.event_id,
    )


def _entry_of_payout(number: int, payout: Payout, at: datetime) -> StoryEntry:
    return StoryEntry(
        id=f"settlement-{number}",
        at=at,
        kind=EntryKind.SETTLEMENT,
        title="Settled to the bank account" if payout.credit else "Taken off a settlement",
        detail=_joined(f"{payout.type} {payout.entity_id}", payout.utr and f"UTR {payout.utr}"),
        amount=payout.credit or payout.debit,
        evidence_id=payout.settlement_id,
    )


def _detail_of(step: Step) -> str | None:
    late = "after the sale had ended" if step.late else None
    return _joined(step.reason, _SOURCES.get(step.source), step.razorpay_payment_id, late)


def _joined(*parts: str | None) -> str | None:
    return "; ".join(part for part in parts if part) or None
