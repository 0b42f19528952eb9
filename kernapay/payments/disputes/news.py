"""Compare the gateway's data on a dispute with the stored dispute: which is newer, and what to store.

Razorpay: a dispute has no time of its last change, events come in any order, and a dispute may go on after it was won.
So events are ordered by the gateway's own time of each. Where that does not decide, ask the gateway.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from kernapay.gateway.base import GatewayDispute
from kernapay.payments.evidence import Origin
from kernapay.payments.models import Dispute, Payment
from kernapay.payments.returns import judge_dispute
from kernapay.payments.states import PHASES, DisputeStatus, Source

EVENT_PREFIX: Final = "payment.dispute."
"""How the name of every event about a dispute begins, and of every step that one leaves in a payment's history."""
WARN_BEFORE: Final = timedelta(hours=48)
"""How long before its deadline a dispute is warned of. Razorpay: a chargeback leaves three banking days."""
# The status that the dispute in an event must have, by the event's name.
_STATUSES: Final[Mapping[str, DisputeStatus]] = {
    "payment.dispute.created": DisputeStatus.OPEN,
    "payment.dispute.action_required": DisputeStatus.OPEN,
    **{
        f"{EVENT_PREFIX}{status.value}": status
        for status in DisputeStatus
        if status is not DisputeStatus.OPEN
    },
}
_RANKS: Final = {DisputeStatus.OPEN: 0, DisputeStatus.UNDER_REVIEW: 1}
_ACTION_REQUIRED_RANK: Final = 2
_DECIDED_RANK: Final = 3


@dataclass(frozen=True, slots=True)
class News:
    """The gateway's data on a dispute. `at` is its time in Unix seconds, None if unknown."""

    dispute: GatewayDispute
    origin: Origin
    at: int | None = None
    is_asked: bool = False
    """Whether the gateway was asked for it, and so gave the present state."""

    @property
    def status(self) -> DisputeStatus:
        try:
            return DisputeStatus(self.dispute.status)
        except ValueError:
            # A status that we do not know decides nothing.
            return DisputeStatus.OPEN

    @property
    def rank(self) -> int:
        """The place among events of one second."""
        phase = self.dispute.phase
        place = PHASES.index(phase) + 1 if phase in PHASES else 0
        if self.origin.event.endswith(".action_required"):
            return place * 10 + _ACTION_REQUIRED_RANK
        return place * 10 + _RANKS.get(self.status, _DECIDED_RANK)


def find_dispute(payment: Payment, dispute_id: str) -> Dispute | None:
    return next((each for each in payment.disputes if each.dispute_id == dispute_id), None)


def is_unsure(news: News, known: Dispute | None) -> bool:
    """Return whether only the gateway can tell if an event is the latest one of its dispute."""
    expected = _STATUSES.get(news.origin.event)
    if expected not in (None, news.status):
        return True  # the event's name contradicts its content
    if known is None or not changes(news, known):
        return False
    if news.at is None:
        return True
    if news.at < known.as_of:
        return False
    # The stored state may be younger than this event if the gateway was asked for it. And a decision stands, unless
    # the dispute went on after it.
    return news.at == known.as_of or known.source is not Source.WEBHOOK or known.status.is_decided


def is_newer(news: News, known: Dispute) -> bool:
    """Return whether the news are newer than what is stored, by the gateway's time of the event."""
    if news.is_asked and changes(news, known):
        return True
    at = known.as_of if news.at is None else news.at
    return (at, news.rank) > (known.as_of, known.rank)


def changes(news: News, known: Dispute) -> bool:
    """Return whether the news differ from what is stored."""
    theirs = news.dispute
    return (
        news.status,
        theirs.phase,
        theirs.amount,
        theirs.currency,
        theirs.amount_deducted or 0,
        _instant(theirs.respond_by),
    ) != (
        known.status,
        known.phase,
        known.amount,
        known.currency,
        known.amount_deducted,
        known.respond_by,
    )


def build_dispute(payment: Payment, known: Dispute | None, news: News, at: datetime) -> Dispute:
    """Return the dispute to store in place of the known one. `at` is our time."""
    theirs = news.dispute
    dispute = Dispute(
        dispute_id=theirs.id,
        payment_id=theirs.payment_id,
        amount=theirs.amount,
        currency=theirs.currency,
        amount_deducted=theirs.amount_deducted or 0,
        phase=theirs.phase,
        status=news.status,
        reason_code=_text(theirs.reason_code) or (known.reason_code if known else None),
        reason_description=theirs.reason_description
        or (known.reason_description if known else None),
        respond_by=_instant(theirs.respond_by),
        source=Source.RECONCILIATION if news.is_asked else news.origin.source,
        as_of=max(news.at or 0, known.as_of if known else 0),
        rank=news.rank,
        revision=known.revision + 1 if known else 1,
        created_at=_instant(theirs.created_at) or (known.created_at if known else at),
        updated_at=at,
    )
    dispute.held, dispute.lost = judge_dispute(payment, dispute)
    dispute.warn_at = _warn_at(dispute, known)
    return dispute


def describe(dispute: Dispute) -> str:
    """Return the reason for the step in the payment's history."""
    text = f"dispute {dispute.dispute_id} {dispute.status.value}: {dispute.phase}, {dispute.amount}"
    return f"{text}, deducted {dispute.amount_deducted}" if dispute.amount_deducted else text


def _warn_at(dispute: Dispute, known: Dispute | None) -> datetime | None:
    if dispute.status is not DisputeStatus.OPEN or dispute.respond_by is None:
        return None
    is_same = known is not None and (
        (known.status, known.phase, known.respond_by)
        == (dispute.status, dispute.phase, dispute.respond_by)
    )
    if known is not None and is_same:
        return known.warn_at  # None if somebody was warned already
    return dispute.respond_by - WARN_BEFORE


def _instant(seconds: int | None) -> datetime | None:
    if not seconds:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None  # no time that anybody could keep


def _text(code: str | int | None) -> str | None:
    return None if code is None else str(code)
