"""Refunds: by request, with or without an idempotency key, and by themselves."""

import hashlib
import re

import msgspec

from kernapay.sandbox.agenda import Agenda
from kernapay.sandbox.announcer import Announcer
from kernapay.sandbox.books import Books, page_of
from kernapay.sandbox.clock import Clock
from kernapay.sandbox.config import SandboxConfig
from kernapay.sandbox.entities import Payment, Refund, RefundKey
from kernapay.sandbox.errors import bad_request, not_applicable, unknown_id
from kernapay.sandbox.faults import Faults
from kernapay.sandbox.fields import Fields, Page
from kernapay.sandbox.ids import check_id, new_id
from kernapay.sandbox.money import check_amount

KEY_SHAPE = re.compile(r"[A-Za-z0-9_-]{10,200}")
SIX_MONTHS = 183 * 86_400
NEVER_INSTANT = (
    2468  # the vendor's reserved amount: an instant refund of it is done as a normal one
)


class Refunds:
    def __init__(
        self,
        config: SandboxConfig,
        books: Books,
        clock: Clock,
        agenda: Agenda,
        faults: Faults,
        announcer: Announcer,
    ) -> None:
        self._config = config
        self._books = books
        self._clock = clock
        self._agenda = agenda
        self._faults = faults
        self._announcer = announcer
        agenda.actions["refund.process"] = self._process
        agenda.actions["refund.fail"] = self._fail

    def create(self, payment: Payment, fields: Fields, key: str | None) -> Refund:
        amount = fields.integer("amount")
        speed = fields.choice("speed", "normal", "optimum") or "normal"
        notes = fields.notes() or {}
        receipt = fields.text("receipt", 40)
        fields.done()
        asked = (payment.id, amount, speed, notes, receipt)
        if key is None:
            return self._create(payment, amount, speed, notes, receipt)
        if not KEY_SHAPE.fullmatch(key):
            raise bad_request(
                "The idempotency key must be 10 or more letters, digits, hyphens or underscores."
            )
        if self._faults.take("refund_in_progress"):
            raise not_applicable(
                "Another request with the same idempotency key is still in progress.", 409
            )
        request = hashlib.sha256(msgspec.json.encode(asked, order="sorted")).hexdigest()
        key_id = f"{payment.owner}:{key}"
        known = self._books.refund_keys.get(key_id)
        if known is None:
            refund = self._create(payment, amount, speed, notes, receipt)
            self._books.refund_keys.add(RefundKey(id=key_id, request=request, refund_id=refund.id))
            return refund
        if known.request != request:
            raise not_applicable(
                "Different request with the same idempotency key has already been processed.",
                self._config.refund_conflict_status,
            )
        return self.get(payment.owner, known.refund_id)

    def get(self, owner: str, refund_id: str) -> Refund:
        check_id("rfnd", refund_id)
        refund = self._books.refunds.get(refund_id)
        if refund is None or refund.owner != owner:
            raise unknown_id()
        return refund

    def find(self, owner: str, page: Page) -> list[Refund]:
        return page_of(self._books.refunds.by("owner", owner), page)

    def of_payment(self, payment: Payment, page: Page) -> list[Refund]:
        return page_of(self._books.refunds.by("payment_id", payment.id), page)

    def edit(self, refund: Refund, fields: Fields) -> Refund:
        refund.notes = fields.need_notes()
        fields.done()
        self._books.refunds.changed(refund)
        return refund

    def return_uncaptured(self, payment: Payment) -> Refund:
        """Give an authorised payment back that nobody captured."""
        return self._book(payment, payment.amount, "normal", {}, None)

    def _create(
        self,
        payment: Payment,
        amount: int | None,
        speed: str,
        notes: dict[str, str],
        receipt: str | None,
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
        wanted = remaining if amount is None else amount
        if amount is not None:
            check_amount(amount, payment.currency, 10**18)
        if wanted > remaining:
            raise not_applicable("The refund amount provided is greater than amount captured")
        if self._faults.take("low_balance"):
            raise not_applicable(
                "Your account does not have enough balance to carry out the refund operation."
            )
        return self._book(payment, wanted, speed, notes, receipt)

    def _book(
        self,
        payment: Payment,
        amount: int,
        speed: str,
        notes: dict[str, str],
        receipt: str | None,
    ) -> Refund:
        fails = self._faults.take("refund_fails_later")
        waits = fails or self._faults.take("refund_pending")
        instant = speed == "optimum" and amount != NEVER_INSTANT
        refund = self._books.refunds.add(
            Refund(
                id=new_id("rfnd"),
                owner=payment.owner,
                payment_id=payment.id,
                amount=amount,
                currency=payment.currency,
                created_at=self._clock.stamp(),
                status="pending" if waits else "processed",
                speed_requested=speed,
                speed_processed="instant" if instant else "normal",
                receipt=receipt,
                notes=notes,
            )
        )
        self._apply(payment, amount)
        self._announcer.refund("refund.created", refund, payment)
        if speed == "optimum" and not instant:
            self._announcer.refund("refund.speed_changed", refund, payment)
        if waits:
            action = "refund.fail" if fails else "refund.process"
            self._agenda.after(float(waits.options["seconds"]), action, refund.id)
        else:
            self._announcer.refund("refund.processed", refund, payment)
        return refund

    def _apply(self, payment: Payment, amount: int) -> None:
        """Move what is refunded of the payment by this much, up or down."""
        payment.amount_refunded += amount
        if payment.amount_refunded == payment.amount:
            payment.status, payment.refund_status = "refunded", "full"
        else:
            # Only a captured payment can be refunded in part, or have its refund fail and
            # stay captured; an uncaptured one goes back to what it was.
            payment.status = "captured" if payment.captured else "authorized"
            payment.refund_status = "partial" if payment.amount_refunded else None
        self._books.payments.changed(payment)

    def _pending(self, refund_id: str) -> tuple[Refund, Payment] | None:
        refund = self._books.refunds.get(refund_id)
        if refund is None or refund.status != "pending":
            return None
        payment = self._books.payments.get(refund.payment_id)
        return None if payment is None else (refund, payment)

    def _process(self, refund_id: str) -> None:
        found = self._pending(refund_id)
        if found:
            refund, payment = found
            refund.status = "processed"
            self._books.refunds.changed(refund)
            self._announcer.refund("refund.processed", refund, payment)

    def _fail(self, refund_id: str) -> None:
        found = self._pending(refund_id)
        if found:
            refund, payment = found
            refund.status = "failed"
            self._books.refunds.changed(refund)
            self._apply(payment, -refund.amount)
            self._announcer.refund("refund.failed", refund, payment)
