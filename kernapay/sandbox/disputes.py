"""Disputes: opened and decided by the bank, accepted or contested by the business."""

from typing import Any, Final

from kernapay.sandbox.clock import Clock
from kernapay.sandbox.entities import Dispute, Payment
from kernapay.sandbox.errors import ControlError, bad_request, check_choice
from kernapay.sandbox.events import EventPublisher
from kernapay.sandbox.fields import Fields
from kernapay.sandbox.ids import new_id
from kernapay.sandbox.resources import Resource
from kernapay.sandbox.scheduler import Scheduler
from kernapay.sandbox.store import Store

PHASES: Final = ("fraud", "retrieval", "chargeback", "pre_arbitration", "arbitration")
FINAL_STATUSES: Final = ("won", "lost", "closed")
DOCUMENT_KINDS: Final = (
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
MAX_SUMMARY_LENGTH = 1000
DAY = 86_400
# Razorpay: three banking days for a chargeback, two for a pre-arbitration, one for an arbitration.
RESPONSE_TIMES: Final = {"chargeback": 3 * DAY, "pre_arbitration": 2 * DAY, "arbitration": DAY}
ENQUIRY_TIME = 7 * DAY
# Questions of the bank. Nothing is deducted for them.
ENQUIRIES: Final = ("fraud", "retrieval")
# What the bank can do to a dispute without deciding it, and the status that follows.
MOVES: Final = {"under_review": "under_review", "action_required": "open", "reopened": "open"}
LATEST_TIME = 4_102_444_800  # the year 2100


class Disputes(Resource[Dispute]):
    def __init__(
        self, store: Store, clock: Clock, scheduler: Scheduler, events: EventPublisher
    ) -> None:
        super().__init__("disp", store.disputes)
        self._store = store
        self._clock = clock
        self._events = events
        scheduler.register("dispute.open", self._open_scheduled)

    def open(
        self,
        payment: Payment,
        amount: int | None = None,
        phase: str = "chargeback",
        reason_code: str = "chargeback",
        *,
        reason_description: str | None = None,
        respond_by: int | None = None,
        deduct_at_onset: bool = False,
    ) -> Dispute:
        """Open a dispute about all or part of a captured payment.

        Raise ControlError if the payment is not captured, or for an unknown phase, amount or deadline.
        """
        if not payment.captured:
            raise ControlError("Only a captured payment can be disputed.", 409)
        check_choice("phase", phase, PHASES)
        disputed_amount = payment.amount if amount is None else amount
        if not 1 <= disputed_amount <= payment.amount:
            raise ControlError(
                f"amount must be from 1 to {payment.amount}, the payment's.", field="amount"
            )
        check_deadline(respond_by)
        now = self._clock.timestamp()
        dispute = self._store.disputes.add(
            Dispute(
                id=new_id("disp"),
                owner=payment.owner,
                payment_id=payment.id,
                amount=disputed_amount,
                currency=payment.currency,
                reason_code=reason_code,
                phase=phase,
                respond_by=respond_by or now + response_time(phase),
                amount_deducted=disputed_amount if deduct_at_onset else 0,
                created_at=now,
                evidence={
                    "amount": disputed_amount,
                    "summary": None,
                    **dict.fromkeys(DOCUMENT_KINDS),
                    "submitted_at": None,
                },
                reason_description=reason_description,
                deduct_at_onset=deduct_at_onset,
            )
        )
        self._publish("created", dispute)
        return dispute

    def accept(self, dispute: Dispute) -> Dispute:
        require_open(dispute)
        self._close(dispute, "lost")
        return dispute

    def contest(self, dispute: Dispute, fields: Fields) -> Dispute:
        """Save the evidence as a draft, or submit it to the bank if `action` is `submit`."""
        action = fields.choice("action", "draft", "submit") or "draft"
        amount = fields.integer("amount")
        summary = fields.text("summary", MAX_SUMMARY_LENGTH)
        documents: dict[str, Any] = {kind: fields.value(kind) for kind in DOCUMENT_KINDS}
        fields.reject_unread()
        require_open(dispute)
        if amount is not None and not 0 <= amount <= dispute.amount:
            raise bad_request("The amount may not be greater than the dispute amount.", "amount")
        for kind, ids in documents.items():
            if ids is not None and not isinstance(ids, list):
                raise bad_request(f"The {kind} must be an array.", kind)
        changes: dict[str, Any] = {"amount": amount, "summary": summary, **documents}
        dispute.evidence.update({k: v for k, v in changes.items() if v is not None})
        if action == "submit":
            if not any(dispute.evidence[kind] for kind in DOCUMENT_KINDS):
                raise bad_request("At least one document is needed to contest a dispute.")
            dispute.evidence["submitted_at"] = self._clock.timestamp()
            dispute.status = "under_review"
        self._store.disputes.save(dispute)
        if action == "submit":
            self._publish("under_review", dispute)
        return dispute

    def move(self, dispute: Dispute, event: str, phase: str | None = None) -> Dispute:
        """Let the bank review the dispute, ask for more evidence, or reopen it in a later phase under the same id.

        Raise ControlError for an unknown event or phase, or if the dispute's status does not allow the event.
        """
        check_choice("event", event, MOVES)
        check_choice("phase", phase or dispute.phase, PHASES)
        if (dispute.status in FINAL_STATUSES) != (event == "reopened"):
            raise ControlError(f"A dispute that is {dispute.status} cannot be {event}.", 409)
        dispute.status = MOVES[event]
        dispute.phase = phase or dispute.phase
        if dispute.status == "open":
            dispute.respond_by = self._clock.timestamp() + response_time(dispute.phase)
        self._store.disputes.save(dispute)
        self._publish("created" if event == "reopened" else event, dispute)
        return dispute

    def resolve(self, dispute: Dispute, status: str) -> Dispute:
        """Decide the dispute for the bank. Raise ControlError if it is decided already."""
        check_choice("status", status, FINAL_STATUSES)
        if dispute.status in FINAL_STATUSES:
            raise ControlError(f"The dispute is {dispute.status} already.", 409)
        self._close(dispute, status)
        return dispute

    def _close(self, dispute: Dispute, status: str) -> None:
        dispute.status = status
        if status == "lost":
            dispute.amount_deducted = 0 if dispute.phase in ENQUIRIES else dispute.amount
        elif status == "won":
            dispute.amount_deducted = 0
        self._store.disputes.save(dispute)
        self._publish(status, dispute)

    def _publish(self, event: str, dispute: Dispute) -> None:
        payment = self._store.payments.get(dispute.payment_id)
        if payment is not None:
            self._events.publish_dispute(f"payment.dispute.{event}", dispute, payment)

    def _open_scheduled(self, payment_id: str) -> None:
        payment = self._store.payments.get(payment_id)
        if payment is not None and payment.captured:
            self.open(payment)


def response_time(phase: str) -> int:
    return RESPONSE_TIMES.get(phase, ENQUIRY_TIME)


def check_deadline(respond_by: int | None) -> None:
    """Raise ControlError unless a deadline that is given is a time in Unix seconds."""
    if respond_by is not None and not 1 <= respond_by <= LATEST_TIME:
        raise ControlError(
            f"respond_by must be from 1 to {LATEST_TIME}, in Unix seconds.", field="respond_by"
        )


def require_open(dispute: Dispute) -> None:
    if dispute.status != "open":
        raise bad_request("Action is not allowed on the dispute in its current status.")
