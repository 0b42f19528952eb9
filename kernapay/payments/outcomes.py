"""The outcomes of settling a payment, and the errors."""

from dataclasses import dataclass
from enum import Enum, auto

from kernapay.core.errors import Conflict, NotFound, RetryLater
from kernapay.payments.matching import explain_mismatch
from kernapay.payments.models import Payment
from kernapay.payments.returns import PaymentReturned
from kernapay.payments.states import SurplusReason


class Outcome(Enum):
    """The effect of settling on the payment."""

    MOVED = auto()
    UNCHANGED = auto()
    MISMATCH = auto()
    """The evidence does not fit the payment, or a person has to decide about it."""
    SURPLUS = auto()
    """The money is not for this sale, and goes back."""


@dataclass(frozen=True, slots=True)
class Settled:
    """The payment after settling, and the outcome. `reason` says what did not match, or why the money goes back."""

    payment: Payment
    outcome: Outcome
    reason: str | None = None


class RecordMissing(NotFound):
    """The order has our receipt, but its payment is not stored: not yet, or no longer."""

    code = "record_missing"


class UnknownOrder(NotFound):
    """The order does not belong to a payment of KernaPay."""

    code = "unknown_order"


class EvidenceMismatch(Conflict):
    """The gateway's payment does not match ours, or is not for its sale.

    What does not match is stored with the payment. `reason` names it.
    """

    code = "evidence_mismatch"

    def __init__(self, reason: str) -> None:
        super().__init__(explain_mismatch(reason))
        self.reason = reason


class NotPaid(Conflict):
    """The signature is valid, but the gateway has not captured the payment."""

    code = "not_paid"


class NotCapturable(Conflict):
    """The payment is captured already, or there is no authorised payment to capture."""

    code = "not_capturable"


class NotCapturedYet(RetryLater):
    """The bank has not confirmed the payment yet. Repeat the call later."""

    code = "not_captured_yet"
    title = "Not captured yet"


def require_match(result: Settled) -> Settled:
    """Return the result. Raises EvidenceMismatch if the evidence did not match."""
    if result.outcome is Outcome.MISMATCH:
        raise EvidenceMismatch(str(result.reason))
    return result


def require_fit(result: Settled) -> Settled:
    """Return the result. Raises EvidenceMismatch if it did not match, PaymentReturned if the money goes back."""
    require_match(result)
    if result.outcome is not Outcome.SURPLUS:
        return result
    if result.reason == SurplusReason.SECOND:
        raise EvidenceMismatch(SurplusReason.SECOND)
    raise PaymentReturned(
        "This payment came after the end of its sale, and is being returned to the customer. "
        "Deliver nothing for it."
    )
