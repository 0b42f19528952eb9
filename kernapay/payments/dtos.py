"""What crosses the wire about payments. Amounts are integers in the currency's minor units."""

from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta, Struct, field

from kernapay.core.ids import REFERENCE_PATTERN
from kernapay.core.text import Identifier, Label
from kernapay.payments.states import RefundState, RefundStatus, Source, Status

Amount = Annotated[int, Meta(ge=1, le=2**53, examples=[50000])]
Currency = Annotated[str, Meta(pattern="^[A-Z]{3}$", examples=["INR"])]
ReferenceId = Annotated[str, Meta(max_length=128, pattern=REFERENCE_PATTERN)]
OrderId = Annotated[
    str, Meta(pattern=r"^order_[A-Za-z0-9]{1,32}$", examples=["order_KpSandbox00001"])
]
PaymentId = Annotated[
    str, Meta(pattern=r"^pay_[A-Za-z0-9]{1,32}$", examples=["pay_KpSandbox00001"])
]
IdempotencyKey = Annotated[
    str,
    Meta(min_length=1, max_length=128, pattern=r"^[\x21-\x7e]+$", examples=["cart-42-attempt-1"]),
]
NoteName = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]
MetadataValue = Label | bool | Annotated[int, Meta(ge=-(2**53), le=2**53)] | float | None


class PaymentCreate(Struct, rename="camel", forbid_unknown_fields=True):
    """`idempotencyKey` may come as the `Idempotency-Key` header instead.

    `notes` go to the gateway; `metadata` stays here and follows the configuration of the service type.
    """

    amount: Amount
    currency: Currency
    service_type: Annotated[Identifier, Meta(examples=["CONSULTATION"])]
    description: Annotated[Label, Meta(examples=["Consultation, 30 minutes"])] | None = None
    provider_id: Annotated[Identifier, Meta(examples=["66b1f0c2a7d4e5f601234567"])] | None = None
    idempotency_key: IdempotencyKey | None = None
    notes: Annotated[dict[NoteName, Label], Meta(max_length=14)] = {}
    metadata: Annotated[dict[NoteName, MetadataValue], Meta(max_length=32)] = {}


class PaymentCreated(Struct, rename="camel"):
    """`orderId` is what Checkout needs."""

    order_id: str
    amount: int
    currency: str
    reference_id: str
    status: Status


class RefundCreate(Struct, rename="camel", forbid_unknown_fields=True):
    """Without an `amount`, all that remains. `idempotencyKey` may come as the `Idempotency-Key` header instead."""

    amount: Amount | None = None
    reason: Annotated[Label, Meta(examples=["Appointment cancelled"])] | None = None
    idempotency_key: IdempotencyKey | None = None


class RefundCreated(Struct, rename="camel"):
    """`status` is the refund's, `refundStatus` the payment's; `refundId` is the gateway's."""

    reference_id: str
    refund_id: str | None
    amount: int
    currency: str
    status: RefundState
    refund_status: RefundStatus
    amount_refunded: int
    amount_refundable: int


class PaymentVerify(Struct, rename="camel", forbid_unknown_fields=True):
    """What Checkout hands to your page's `handler`, and the reference of the payment."""

    razorpay_order_id: OrderId
    razorpay_payment_id: PaymentId
    razorpay_signature: Annotated[str, Meta(min_length=1, max_length=256)]
    reference_id: ReferenceId


class PaymentVerified(Struct, rename="camel"):
    message: str
    payment_method: str | None
    success: bool = True


class PaymentSummary(Struct, rename="camel"):
    """A line of the history."""

    reference_id: str
    status: Status
    amount: int
    currency: str
    created_at: datetime
    service_type: str
    razorpay_order_id: str | None = None
    payment_method: str | None = None
    refund_status: RefundStatus = RefundStatus.NOT_REQUESTED
    amount_refunded: int = 0
    description: str | None = None


class PaymentStatus(Struct, rename="camel"):
    """What anyone who knows the reference may know."""

    reference_id: str
    status: Status
    amount: int
    currency: str
    updated_at: datetime
    refund_status: RefundStatus = RefundStatus.NOT_REQUESTED
    amount_refunded: int = 0


class StepView(Struct, rename="camel"):
    status: Status
    updated_at: datetime
    source: Source | None = None
    event: str | None = None
    event_id: str | None = None
    razorpay_payment_id: str | None = None
    reason: str | None = None


class RefundView(Struct, rename="camel"):
    amount: int
    status: RefundState
    refund_id: str | None = None
    reason: str | None = None
    failure: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


class PaymentView(Struct, rename="camel"):
    """Everything about a payment, for those who may see it."""

    id: str = field(name="_id")
    user_id: str
    reference_id: str
    status: Status
    amount: int
    currency: str
    service_type: str
    created_at: datetime
    updated_at: datetime
    payment_gateway: str = "razorpay"
    provider_id: str | None = None
    order_id: str | None = None
    razorpay_order_id: str | None = None
    razorpay_payment_id: str | None = None
    payment_method: str | None = None
    description: str | None = None
    notes: dict[str, str] = {}
    metadata: dict[str, Any] = {}
    history: list[StepView] = []
    refund_status: RefundStatus = RefundStatus.NOT_REQUESTED
    amount_refunded: int = 0
    refunds: list[RefundView] = []
    paid_at: datetime | None = None
