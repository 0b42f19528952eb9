"""The payloads of events: the envelope, and the data, which has the same form as in the API.

Statuses and sums are those of the moment that the event tells of, also when it is sent much later. Amounts are integers
in minor units.
"""

from typing import Annotated, Generic, TypeVar

from msgspec import Meta, Struct

from kernapay.core.clock import Instant
from kernapay.core.ids import OBJECT_ID_EXAMPLE
from kernapay.deliveries.models import EventType
from kernapay.payments.disputes.dtos import DisputeDetail
from kernapay.payments.dtos import RefundView
from kernapay.payments.facts import PaymentFacts
from kernapay.payments.fields import (
    CurrencyCode,
    CustomerId,
    GatewayPaymentId,
    Livemode,
    MinorUnits,
    ObjectIdText,
    ReferenceText,
    ServiceTypeName,
)
from kernapay.payments.states import DisputeStatus, RefundState, RefundStatus, Status
from kernapay.reconciliation.dtos import FindingView
from kernapay.settlements.dtos import SettlementView

DataT = TypeVar("DataT")

Sequence = Annotated[
    int,
    Meta(
        description="The place of the event among all that happened to its subject: a later one has a higher number. "
        "Numbers are left out where something happened of which no event tells.",
        examples=[1],
    ),
]


class Envelope(Struct, Generic[DataT]):
    """An event as it is delivered. `timestamp` is when it happened; the header `webhook-id` has its id."""

    type: EventType
    timestamp: Instant
    data: DataT


class PaymentEvent(PaymentFacts, kw_only=True, rename="camel"):
    """A payment, as it was after the event.

    `previous` is its status before. `late` says that the money came after an unpaid end of the sale. `reason` is why
    the bank declined the last attempt.
    """

    sequence: Sequence
    previous: Status | None = None
    late: bool = False
    reason: Annotated[str | None, Meta(examples=["insufficient_funds"])] = None


class RefundEvent(RefundView, kw_only=True, rename="camel"):
    """A refund, as it was after the event, with its payment. `previous` is the refund's status before.

    `amountRefunded` is all that was refunded of the payment, and `refundStatus` the state of all its refunds.
    """

    reference_id: ReferenceText
    razorpay_payment_id: GatewayPaymentId | None = None
    user_id: ObjectIdText
    service_type: ServiceTypeName
    provider_id: ObjectIdText | None = None
    customer_id: CustomerId = None
    currency: CurrencyCode
    payment_status: Annotated[Status, Meta(examples=["success"])]
    amount_refunded: MinorUnits
    refund_status: RefundStatus
    livemode: Livemode = None
    sequence: Sequence
    previous: RefundState | None = None


class DisputeEvent(DisputeDetail, kw_only=True, rename="camel"):
    """A dispute, as it was after the event. `previous` is its status before.

    `held` is what of the payment may not be refunded because of it, and `lost` what of that is gone.
    """

    user_id: ObjectIdText
    service_type: ServiceTypeName
    provider_id: ObjectIdText | None = None
    customer_id: CustomerId = None
    held: Annotated[int, Meta(examples=[50000])] = 0
    lost: Annotated[int, Meta(examples=[0])] = 0
    livemode: Livemode = None
    sequence: Sequence
    previous: DisputeStatus | None = None


class SettlementEvent(SettlementView, kw_only=True, rename="camel"):
    """A transfer to the bank account that was processed."""

    sequence: Sequence = 0
    previous: str | None = None


class FindingEvent(FindingView, kw_only=True, rename="camel"):
    """A difference between KernaPay's records and the gateway's that a report found."""

    report_id: Annotated[str, Meta(examples=[OBJECT_ID_EXAMPLE])]
    sequence: Sequence = 0
    previous: str | None = None


class EndpointTest(Struct, kw_only=True, rename="camel"):
    """A test that somebody sent to an endpoint. Nothing has happened to a payment."""

    endpoint_id: Annotated[str, Meta(examples=[OBJECT_ID_EXAMPLE])]
    url: Annotated[str, Meta(examples=["https://shop.example/kernapay"])]
    sequence: Sequence = 0
    previous: str | None = None
