"""The statuses of a payment, and the table of moves between them."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple


class Status(StrEnum):
    PENDING = "pending"
    SUCCESS = "success"
    FAILED = "failed"
    REFUNDED = "refunded"

    @property
    def is_paid(self) -> bool:
        """Whether money came in for this payment, even if it was refunded since."""
        return self in (Status.SUCCESS, Status.REFUNDED)


class RefundStatus(StrEnum):
    """The state of all refunds of a payment together."""

    NOT_REQUESTED = "not_requested"
    REQUESTED = "requested"
    COMPLETED = "completed"


class RefundState(StrEnum):
    """The state of one refund: `requested` until the gateway answers, then the gateway's own state."""

    REQUESTED = "requested"
    PENDING = "pending"
    PROCESSED = "processed"
    FAILED = "failed"


class DisputeStatus(StrEnum):
    """The status of a dispute, in the gateway's words."""

    OPEN = "open"
    UNDER_REVIEW = "under_review"
    WON = "won"
    LOST = "lost"
    CLOSED = "closed"

    @property
    def is_decided(self) -> bool:
        """Whether the bank has decided. Even then, a dispute that was won may come back in a later phase."""
        return self in (DisputeStatus.WON, DisputeStatus.LOST, DisputeStatus.CLOSED)


UNDECIDED: Final = tuple(status for status in DisputeStatus if not status.is_decided)

# Razorpay: a dispute moves only forward through its phases.
PHASES: Final = ("fraud", "retrieval", "chargeback", "pre_arbitration", "arbitration")
# Questions of the bank, which a refund may end. From the chargeback on, a refund would return the money twice.
ENQUIRIES: Final = PHASES[:2]


class RefundSpeed(StrEnum):
    """How a refund is made: `optimum` is instant where the bank allows it, for a fee, and else as `normal`."""

    NORMAL = "normal"
    OPTIMUM = "optimum"


class Event(StrEnum):
    """What can happen to a payment. `expired` comes from KernaPay: nobody paid in time."""

    AUTHORIZED = "authorized"
    CAPTURED = "captured"
    DECLINED = "declined"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class LatePayments(StrEnum):
    """What becomes of money that comes after the end of its sale."""

    CAPTURE = "capture"
    REFUND = "refund"
    HOLD = "hold"


class SurplusReason(StrEnum):
    """Why money that came in is not for the sale, and goes back."""

    SECOND = "second_payment"
    LATE = "late_payment"
    CANCELLED = "cancelled_payment"


class Source(StrEnum):
    """Where a change came from."""

    API = "api"
    CHECKOUT = "checkout"
    WEBHOOK = "webhook"
    RECONCILIATION = "reconciliation"
    ADMIN = "admin"


PAID: Final = tuple(status for status in Status if status.is_paid)


class Move(NamedTuple):
    """A change of status: allowed from `sources` only, to `target`. A final one ends the sale."""

    sources: frozenset[Status]
    target: Status
    is_final: bool = True


_UNPAID: Final = frozenset({Status.PENDING, Status.FAILED})
# Razorpay: a customer may try again with the same order, so a failed payment may still succeed until its sale ends.
# Nothing moves a paid payment to `failed`: webhooks arrive late and out of order.
# No event leads to `refunded`: the update that adds up the refunds sets it.
MOVES: Final[Mapping[Event, Move]] = {
    Event.CAPTURED: Move(_UNPAID, Status.SUCCESS),
    Event.DECLINED: Move(frozenset({Status.PENDING}), Status.FAILED, is_final=False),
    Event.EXPIRED: Move(_UNPAID, Status.FAILED),
    Event.CANCELLED: Move(_UNPAID, Status.FAILED),
}
