"""The state machine of a payment; data, not branches."""

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
        """Whether money came in for this payment, whatever has gone back since."""
        return self in (Status.SUCCESS, Status.REFUNDED)


class RefundStatus(StrEnum):
    NOT_REQUESTED = "not_requested"
    REQUESTED = "requested"
    COMPLETED = "completed"


class RefundState(StrEnum):
    """Where one refund stands: ours until the gateway has it, then as the gateway says."""

    REQUESTED = "requested"
    PENDING = "pending"
    PROCESSED = "processed"
    FAILED = "failed"


class Event(StrEnum):
    AUTHORIZED = "authorized"
    CAPTURED = "captured"
    DECLINED = "declined"
    EXPIRED = "expired"


class Source(StrEnum):
    """Who brought the news of a change."""

    API = "api"
    CHECKOUT = "checkout"
    WEBHOOK = "webhook"
    RECONCILIATION = "reconciliation"
    ADMIN = "admin"


PAID: Final = tuple(status for status in Status if status.is_paid)


class Move(NamedTuple):
    sources: frozenset[Status]
    target: Status


# Razorpay allows another attempt on the same order, so a failed payment may still succeed.
# Success never returns to failed: webhooks arrive late and out of order.
# `refunded` is reached only by recording refunds, in the same update that adds them up.
MOVES: Final[Mapping[Event, Move]] = {
    Event.CAPTURED: Move(frozenset({Status.PENDING, Status.FAILED}), Status.SUCCESS),
    Event.DECLINED: Move(frozenset({Status.PENDING}), Status.FAILED),
    Event.EXPIRED: Move(frozenset({Status.PENDING}), Status.FAILED),
}
