"""Disputes: opened by the bank, answered by the business."""

from typing import Any, Final

from kernapay.sandbox.agenda import Agenda
from kernapay.sandbox.announcer import Announcer
from kernapay.sandbox.books import Books, page_of
from kernapay.sandbox.clock import Clock
from kernapay.sandbox.entities import Dispute, Payment
from kernapay.sandbox.errors import ControlError, bad_request, unknown_id
from kernapay.sandbox.fields import Fields, Page
from kernapay.sandbox.ids import check_id, new_id

PHASES: Final = ("fraud", "retrieval", "chargeback", "pre_arbitration", "arbitration")
ENDINGS: Final = ("won", "lost", "closed")
PROOFS: Final = (
    "shipping_proof",
    "billing_proof",
    "cancellation_proof",
    "customer_communication",
    "proof_of_service",
    "explanation_letter",
    "refund_confirmation",
    "access_activity_log",
    "refund_cancellation_policy",
    "term_and_conditions",
    "others",
)
TIME_TO_ANSWER = 7 * 86_400


class Disputes:
    def __init__(self, books: Books, clock: Clock, agenda: Agenda, announcer: Announcer) -> None:
        self._books = books
        self._clock = clock
        self._announcer = announcer
        agenda.actions["dispute.open"] = self._open_by_itself

    def get(self, owner: str, dispute_id: str) -> Dispute:
        check_id("disp", dispute_id)
        dispute = self._books.disputes.get(dispute_id)
        if dispute is None or dispute.owner != owner:
            raise unknown_id()
        return dispute

    def find(self, owner: str, page: Page) -> list[Dispute]:
        return page_of(self._books.disputes.by("owner", owner), page)

    def open(
        self,
        payment: Payment,
        amount: int | None = None,
        phase: str = "chargeback",
        reason_code: str = "chargeback",
    ) -> Dispute:
        """Let the customer's bank dispute a captured payment; raise ControlError for others."""
        if not payment.captured:
            raise ControlError("Only a captured payment can be disputed.", 409)
        if phase not in PHASES:
            raise ControlError(f"phase must be one of {', '.join(PHASES)}.", field="phase")
        disputed = payment.amount if amount is None else amount
        if not 1 <= disputed <= payment.amount:
            raise ControlError("amount must be from 1 to the payment's.", field="amount")
        now = self._clock.stamp()
        dispute = self._books.disputes.add(
            Dispute(
                id=new_id("disp"),
                owner=payment.owner,
                payment_id=payment.id,
                amount=disputed,
                currency=payment.currency,
                reason_code=reason_code,
                phase=phase,
                respond_by=now + TIME_TO_ANSWER,
                created_at=now,
                evidence={
                    "amount": disputed,
                    "summary": None,
                    **dict.fromkeys(PROOFS),
                    "submitted_at": None,
                },
            )
        )
        self._announce("created", dispute)
        return dispute

    def accept(self, dispute: Dispute) -> Dispute:
        if dispute.status != "open":
            raise bad_request("Action is not allowed on the dispute in its current status.")
        self._end(dispute, "lost")
        return dispute

    def contest(self, dispute: Dispute, fields: Fields) -> Dispute:
        """Keep the evidence as a draft, or hand it to the bank when `action` is `submit`."""
        action = fields.choice("action", "draft", "submit") or "draft"
        amount = fields.integer("amount")
        summary = fields.text("summary", 1000)
        proofs: dict[str, Any] = {name: fields.value(name) for name in PROOFS}
        fields.done()
        if dispute.status != "open":
            raise bad_request("Action is not allowed on the dispute in its current status.")
        if amount is not None and not 0 <= amount <= dispute.amount:
            raise bad_request("The amount may not be greater than the dispute amount.", "amount")
        for name, proof in proofs.items():
            if proof is not None and not isinstance(proof, list):
                raise bad_request(f"The {name} must be an array.", name)
        given: dict[str, Any] = {"amount": amount, "summary": summary, **proofs}
        dispute.evidence.update({k: v for k, v in given.items() if v is not None})
        if action == "submit":
            if not any(dispute.evidence[name] for name in PROOFS):
                raise bad_request("At least one document is needed to contest a dispute.")
            dispute.evidence["submitted_at"] = self._clock.stamp()
            dispute.status = "under_review"
        self._books.disputes.changed(dispute)
        if action == "submit":
            self._announce("under_review", dispute)
        return dispute

    def resolve(self, dispute: Dispute, ending: str) -> Dispute:
        """Let the bank decide; raise ControlError when it has decided before."""
        if ending not in ENDINGS:
            raise ControlError(f"status must be one of {', '.join(ENDINGS)}.", field="status")
        if dispute.status in ENDINGS:
            raise ControlError(f"The dispute is {dispute.status} already.", 409)
        self._end(dispute, ending)
        return dispute

    def _end(self, dispute: Dispute, ending: str) -> None:
        dispute.status = ending
        if ending == "lost":
            dispute.amount_deducted = dispute.amount
        self._books.disputes.changed(dispute)
        self._announce(ending, dispute)

    def _announce(self, what: str, dispute: Dispute) -> None:
        payment = self._books.payments.get(dispute.payment_id)
        if payment is not None:
            self._announcer.dispute(f"payment.dispute.{what}", dispute, payment)

    def _open_by_itself(self, payment_id: str) -> None:
        payment = self._books.payments.get(payment_id)
        if payment is not None and payment.captured:
            self.open(payment)
