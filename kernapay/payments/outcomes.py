"""Why evidence did not settle a payment."""

from kernapay.core.errors import Conflict, NotFound, RetryLater
from kernapay.payments.matching import explain_mismatch


class RecordMissing(NotFound):
    """The order has our receipt, but its payment is not stored: not yet, or no longer."""

    code = "record_missing"


class UnknownOrder(NotFound):
    """The order does not belong to a payment of KernaPay."""

    code = "unknown_order"


class EvidenceMismatch(Conflict):
    """The gateway's payment does not match ours; nothing was changed.

    The mismatch is stored with the payment. `reason` names it.
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
