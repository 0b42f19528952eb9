"""Refunds: by request, with or without an idempotency key, and of uncaptured payments."""

import hashlib
import random
import re
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from kernapay.sandbox.clock import Clock
from kernapay.sandbox.config import SandboxConfig
from kernapay.sandbox.entities import Payment, Refund, RefundKey
from kernapay.sandbox.errors import bad_request, not_applicable
from kernapay.sandbox.events import EventPublisher
from kernapay.sandbox.faults import Faults
from kernapay.sandbox.fields import Fields, Page
from kernapay.sandbox.ids import new_id
from kernapay.sandbox.money import check_amount
from kernapay.sandbox.resources import EditableResource, paginate
from kernapay.sandbox.scheduler import Scheduler
from kernapay.sandbox.store import Store

# Razorpay asks for 10 or more of these characters. The upper limit is ours.
KEY_PATTERN = re.compile(r"[A-Za-z0-9_-]{10,200}")
MAX_RECEIPT_LENGTH = 40
SIX_MONTHS = 183 * 86_400
# Razorpay reserves this amount for tests: an instant refund of it becomes a normal one.
NEVER_INSTANT_AMOUNT = 2468
# The payment's own amount is the limit that counts.
NO_MAXIMUM = 10**18


class RefundRequest(NamedTuple):
    """The amount is in minor units; None means the remaining amount.

    The order of these fields is that of the hash stored with an idempotency key.
    """

    amount: int | None
    speed: str
    notes: dict[str, str]
    receipt: str | None


class Refunds(EditableResource[Refund]):
    def __init__(
        self,
        config: SandboxConfig,
        store: Store,
        clock: Clock,
        scheduler: Scheduler,
        faults: Faults,
        events: EventPublisher,
    ) -> None:
        super().__init__("rfnd", store.refunds)
        self._config = config
        self._store = store
        self._clock = clock
        self._scheduler = scheduler
        self._faults = faults
        self._events = events
        scheduler.register("refund.process", lambda refund_id: self._finish(refund_id, "processed"))
        scheduler.register("refund.fail", lambda refund_id: self._finish(refund_id, "failed"))

    def create(
        self,
        payment: Payment,
        fields: Fields,
        key: str | None,
        check_reversal: Callable[[int], None] | None = None,
    ) -> Refund:
        """Create a refund, or return the earlier one of the same key and request.

        `check_reversal` gets the amount of a new refund that takes transfers back, and raises if they cannot come back.
        Raise RazorpayError if the key was used for another request.
        """
        request = RefundRequest(
            amount=fields.integer("amount"),
            speed=fields.choice("speed", "normal", "optimum") or "normal",
            notes=fields.notes() or {},
            receipt=fields.text("receipt", MAX_RECEIPT_LENGTH),
        )
        fields.reject_unread()
        if key is None:
            return self._create(payment, request, check_reversal)
        if not KEY_PATTERN.fullmatch(key):
            raise bad_request(
                "The idempotency key must be 10 or more letters, digits, hyphens or underscores."
            )
        if self._faults.take("refund_in_progress"):
            raise not_applicable(
                "Another request with the same idempotency key is still in progress.", 409
            )
        more = ("reverse_all",) if check_reversal else ()
        content = msgspec.json.encode((payment.id, *request, *more), order="sorted")
        request_hash = hashlib.sha256(content).hexdigest()
        key_id = f"{payment.owner}:{key}"
        earlier = self._store.refund_keys.get(key_id)
        if earlier is None:
            refund = self._create(payment, request, check_reversal)
            self._store.refund_keys.add(
                RefundKey(id=key_id, request=request_hash, refund_id=refund.id)
            )
            return refund
        if earlier.request != request_hash:
            raise not_applicable(
                "Different request with the same idempotency key has already been processed.",
                self._config.refund_conflict_status,
            )
        return self.get(payment.owner, earlier.refund_id)

    def find_by_payment(self, payment: Payment, page: Page) -> list[Refund]:
        return paginate(self._store.refunds.find_by("payment_id", payment.id), page)

    def refund_uncaptured(self, payment: Payment) -> Refund:
        """Refund an authorised payment that was not captured in time."""
        return self._add(payment, payment.amount, RefundRequest(None, "normal", {}, None))

    def _create(
        self,
        payment: Payment,
        request: RefundRequest,
        check_reversal: Callable[[int], None] | None,
    ) -> Refund:
        if payment.status == "refunded":
            raise not_applicable("The payment has been fully refunded already")
        if not payment.captured:
            raise not_applicable("The payment status should be captured for action to be taken")
        if payment.created_at < self._clock.now() - SIX_MONTHS:
            raise not_applicable(
                "Refund is not supported by the bank because the payment is more than 6 months old"
            )
        remaining = payment.amount - payment.amount_refunded
        amount = remaining
        if request.amount is not None:
            amount = request.amount
            check_amount(amount, payment.currency, NO_MAXIMUM)
        if amount > remaining:
            raise not_applicable("The refund amount provided is greater than amount captured")
        if check_reversal is not None:
            check_reversal(amount)
        if self._faults.take("low_balance"):
            raise not_applicable(
                "Your account does not have enough balance to carry out the refund operation."
            )
        return self._add(payment, amount, request)

    def _add(self, payment: Payment, amount: int, request: RefundRequest) -> Refund:
        failure = self._faults.take("refund_fails_later")
        pending = failure or self._faults.take("refund_pending")
        is_instant = request.speed == "optimum" and amount != NEVER_INSTANT_AMOUNT
        refund = self._store.refunds.add(
            Refund(
                id=new_id("rfnd"),
                owner=payment.owner,
                payment_id=payment.id,
                amount=amount,
                currency=payment.currency,
                created_at=self._clock.timestamp(),
                status="pending" if pending else "processed",
                speed_requested=request.speed,
                speed_processed="instant" if is_instant else "normal",
                receipt=request.receipt,
                notes=request.notes,
                arn=None if pending else new_arn(),
            )
        )
        self._change_amount_refunded(payment, amount)
        self._events.publish_refund("refund.created", refund, payment)
        if request.speed == "optimum" and not is_instant:
            self._events.publish_refund("refund.speed_changed", refund, payment)
        if pending:
            action = "refund.fail" if failure else "refund.process"
            self._scheduler.schedule(pending.seconds, action, refund.id)
        else:
            self._events.publish_refund("refund.processed", refund, payment)
        return refund

    def _change_amount_refunded(self, payment: Payment, by: int) -> None:
        payment.amount_refunded += by
        if payment.amount_refunded == payment.amount:
            payment.status, payment.refund_status = "refunded", "full"
        else:
            # An uncaptured payment is only refunded in full. If that refund fails, it is authorised again.
            payment.status = "captured" if payment.captured else "authorized"
            payment.refund_status = "partial" if payment.amount_refunded else None
        self._store.payments.save(payment)

    def _finish(self, refund_id: str, status: str) -> None:
        """Process or fail a pending refund."""
        refund = self._store.refunds.get(refund_id)
        if refund is None or refund.status != "pending":
            return
        payment = self._store.payments.get(refund.payment_id)
        if payment is None:
            return
        refund.status = status
        refund.arn = new_arn() if status == "processed" else None
        self._store.refunds.save(refund)
        if status == "failed":
            self._change_amount_refunded(payment, -refund.amount)
        self._events.publish_refund(f"refund.{status}", refund, payment)


def new_arn() -> str:
    """Return a bank's reference for a refund. Razorpay: there is none before the bank has it."""
    return str(random.randrange(10**13, 10**14))  # noqa: S311
