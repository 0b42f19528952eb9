"""The catalogue of event types: the meaning, the data and an example of each. OpenAPI's webhooks are made from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from kernapay.core.ids import OBJECT_ID_EXAMPLE
from kernapay.deliveries.models import EventType
from kernapay.deliveries.payloads import (
    DisputeEvent,
    EndpointTest,
    Envelope,
    FindingEvent,
    PaymentEvent,
    RefundEvent,
    SettlementEvent,
)
from kernapay.payments.references import REFERENCE_EXAMPLE
from kernapay.payments.states import (
    DisputeStatus,
    RefundState,
    RefundStatus,
    Source,
    Status,
)
from kernapay.reconciliation.models import Kind
from kernapay.web.openapi.webhooks import Message

_CREATED: Final = datetime(2026, 1, 31, 10, 15, 30, 250_000, UTC)
_PAID: Final = _CREATED + timedelta(minutes=2)
_LATER: Final = _CREATED + timedelta(days=3)
_PAYMENT_ID: Final = "pay_SxT5bNn0uQa2Kc"
_ORDER_ID: Final = "order_SxT4rqYwGZ8mLd"
_USER_ID: Final = "66b1f0c2a7d4e5f601234568"


@dataclass(frozen=True, slots=True)
class Entry:
    """A type of events. `for_administrators` says that no shop gets it."""

    summary: str
    example: msgspec.Struct
    at: datetime
    for_administrators: bool = False

    @property
    def data(self) -> type[msgspec.Struct]:
        return type(self.example)


def _payment(**changes: Any) -> PaymentEvent:
    facts: dict[str, Any] = {
        "id": OBJECT_ID_EXAMPLE,
        "user_id": _USER_ID,
        "reference_id": REFERENCE_EXAMPLE,
        "status": Status.PENDING,
        "amount": 50_000,
        "currency": "INR",
        "service_type": "CONSULTATION",
        "created_at": _CREATED,
        "updated_at": _CREATED,
        "order_id": _ORDER_ID,
        "razorpay_order_id": _ORDER_ID,
        "description": "Consultation, 30 minutes",
        "metadata": {"minutes": 30},
        "payable_until": _CREATED + timedelta(days=1),
        "livemode": True,
        "sequence": 0,
    }
    return PaymentEvent(**{**facts, **changes})


def _failed(**changes: Any) -> PaymentEvent:
    facts = {"status": Status.FAILED, "final": True, "updated_at": _LATER, "sequence": 1}
    return _payment(**{"previous": Status.PENDING, **facts, **changes})


def _refund(status: RefundState, sequence: int, **changes: Any) -> RefundEvent:
    facts: dict[str, Any] = {
        "amount": 50_000,
        "status": status,
        "refund_id": "rfnd_SxT9k1JpWm4VeB",
        "reason": "Appointment cancelled",
        "created_at": _LATER,
        "updated_at": _LATER,
        "reference_id": REFERENCE_EXAMPLE,
        "razorpay_payment_id": _PAYMENT_ID,
        "user_id": _USER_ID,
        "service_type": "CONSULTATION",
        "currency": "INR",
        "payment_status": Status.SUCCESS,
        "amount_refunded": 0,
        "refund_status": RefundStatus.REQUESTED,
        "livemode": True,
        "sequence": sequence,
        "previous": RefundState.REQUESTED,
    }
    return RefundEvent(**{**facts, **changes})


def _dispute(status: DisputeStatus, sequence: int, **changes: Any) -> DisputeEvent:
    facts: dict[str, Any] = {
        "dispute_id": "disp_SxTbW3hPq8LkZv",
        "payment_id": _PAYMENT_ID,
        "amount": 50_000,
        "currency": "INR",
        "status": status,
        "phase": "chargeback",
        "reason_code": "goods_or_services_not_received",
        "respond_by": _LATER + timedelta(days=7),
        "source": Source.WEBHOOK,
        "created_at": _LATER,
        "updated_at": _LATER,
        "reference_id": REFERENCE_EXAMPLE,
        "user_id": _USER_ID,
        "service_type": "CONSULTATION",
        "livemode": True,
        "sequence": sequence,
        "previous": DisputeStatus.OPEN,
    }
    return DisputeEvent(**{**facts, **changes})


CATALOGUE: Final[Mapping[EventType, Entry]] = {
    EventType.PAYMENT_CREATED: Entry("A payment was created.", _payment(), _CREATED),
    EventType.PAYMENT_SUCCEEDED: Entry(
        "A payment was paid. `late` says that its sale had ended unpaid before.",
        _payment(
            status=Status.SUCCESS,
            final=True,
            updated_at=_PAID,
            paid_at=_PAID,
            razorpay_payment_id=_PAYMENT_ID,
            payment_method="upi",
            amount_paid=50_000,
            sequence=1,
            previous=Status.PENDING,
        ),
        _PAID,
    ),
    EventType.PAYMENT_FAILED: Entry(
        "The sale has ended, and every attempt to pay was declined.",
        _failed(
            razorpay_payment_id=_PAYMENT_ID,
            sequence=2,
            previous=Status.FAILED,
            reason="insufficient_funds",
        ),
        _LATER,
    ),
    EventType.PAYMENT_EXPIRED: Entry(
        "The sale has ended, and nobody tried to pay.", _failed(), _LATER
    ),
    EventType.PAYMENT_CANCELLED: Entry(
        "The sale was cancelled before anybody paid.", _failed(cancelled_at=_LATER), _LATER
    ),
    EventType.REFUND_REQUESTED: Entry(
        "A refund was accepted, or the gateway told of one that was made elsewhere.",
        _refund(RefundState.REQUESTED, 2, refund_id=None, previous=None),
        _LATER,
    ),
    EventType.REFUND_PROCESSED: Entry(
        "The gateway has made a refund.",
        _refund(
            RefundState.PROCESSED,
            3,
            payment_status=Status.REFUNDED,
            amount_refunded=50_000,
            refund_status=RefundStatus.COMPLETED,
            arn="10000000000000",
            speed_processed="normal",
        ),
        _LATER,
    ),
    EventType.REFUND_FAILED: Entry(
        "The gateway refused a refund, or the customer's bank returned it.",
        _refund(
            RefundState.FAILED,
            3,
            refund_id=None,
            failure="The balance is too low.",
            refund_status=RefundStatus.NOT_REQUESTED,
        ),
        _LATER,
    ),
    EventType.DISPUTE_OPENED: Entry(
        "A customer's bank questions a payment, or questions it again.",
        _dispute(DisputeStatus.OPEN, 2, held=50_000, previous=None),
        _LATER,
    ),
    EventType.DISPUTE_ACTION_REQUIRED: Entry(
        "A dispute waits for evidence until `respondBy`, or its amount or phase has changed.",
        _dispute(DisputeStatus.OPEN, 3, held=50_000),
        _LATER,
    ),
    EventType.DISPUTE_WON: Entry("A dispute was won.", _dispute(DisputeStatus.WON, 4), _LATER),
    EventType.DISPUTE_LOST: Entry(
        "A dispute was lost: `lost` of the payment is gone.",
        _dispute(DisputeStatus.LOST, 4, amount_deducted=50_000, held=50_000, lost=50_000),
        _LATER,
    ),
    EventType.DISPUTE_CLOSED: Entry(
        "A dispute was closed without a decision.", _dispute(DisputeStatus.CLOSED, 4), _LATER
    ),
    EventType.SETTLEMENT_PROCESSED: Entry(
        "Money reached the bank account.",
        SettlementEvent(
            settlement_id="setl_SxVc3mQe8TzYaK",
            status="processed",
            settled_at=_LATER,
            amount=48_820,
            utr="1769941800k3Xq9a",
            rows=1,
            credit=48_820,
            row_fee=1_180,
            row_tax=180,
            difference=0,
        ),
        _LATER,
        for_administrators=True,
    ),
    EventType.RECONCILIATION_FINDING: Entry(
        "A report found a difference between KernaPay's records and the gateway's.",
        FindingEvent(
            id=OBJECT_ID_EXAMPLE,
            kind=Kind.AMOUNT,
            reference_id=REFERENCE_EXAMPLE,
            order_id=_ORDER_ID,
            razorpay_payment_id=_PAYMENT_ID,
            ours="50000",
            theirs="49000",
            report_id=_USER_ID,
        ),
        _LATER,
        for_administrators=True,
    ),
    EventType.ENDPOINT_TEST: Entry(
        "Somebody sent a test to the endpoint.",
        EndpointTest(endpoint_id=OBJECT_ID_EXAMPLE, url="https://shop.example/kernapay"),
        _LATER,
    ),
}


def messages() -> tuple[Message, ...]:
    """Return what the API's documentation says of each type."""
    return tuple(
        Message(
            event_type.value,
            entry.summary,
            Envelope[entry.data],  # type: ignore[name-defined]
            msgspec.to_builtins(example_of(event_type)),
        )
        for event_type, entry in CATALOGUE.items()
    )


def example_of(event_type: EventType) -> Envelope[msgspec.Struct]:
    """Return an example of an event of this type."""
    entry = CATALOGUE[event_type]
    return Envelope(event_type, entry.at, entry.example)
