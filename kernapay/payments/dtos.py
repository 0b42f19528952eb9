"""What crosses the wire about payments. Amounts are integers in the currency's minor units."""

from typing import Annotated, Any

from msgspec import Meta, Struct, field

from kernapay.core.clock import Instant
from kernapay.core.ids import OBJECT_ID_EXAMPLE
from kernapay.core.patterns import Identifier, Label, explain
from kernapay.payments.references import REFERENCE_EXAMPLE, REFERENCE_PATTERN
from kernapay.payments.states import RefundState, RefundStatus, Source, Status

Amount = Annotated[int, Meta(ge=1, le=2**53, examples=[50000])]
Currency = Annotated[
    str, Meta(pattern=explain("^[A-Z]{3}$", "three capital letters such as INR"), examples=["INR"])
]
ReferenceId = Annotated[
    str, Meta(max_length=128, pattern=REFERENCE_PATTERN, examples=[REFERENCE_EXAMPLE])
]
OrderId = Annotated[
    str,
    Meta(
        pattern=explain(r"^order_[A-Za-z0-9]{1,32}$", "an order id of the gateway: order_…"),
        examples=["order_SxT4rqYwGZ8mLd"],
    ),
]
PaymentId = Annotated[
    str,
    Meta(
        pattern=explain(r"^pay_[A-Za-z0-9]{1,32}$", "a payment id of the gateway: pay_…"),
        examples=["pay_SxT5bNn0uQa2Kc"],
    ),
]
Signature = Annotated[str, Meta(min_length=1, max_length=256, examples=["5f" * 32])]
KEY_PATTERN = explain(r"^[\x21-\x7e]+$", "visible ASCII characters without spaces")
IdempotencyKey = Annotated[
    str,
    Meta(min_length=1, max_length=128, pattern=KEY_PATTERN, examples=["cart-42-attempt-1"]),
]
NoteName = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        pattern=explain(r"^[A-Za-z0-9_-]+$", "made of letters, digits, _ and - only"),
    ),
]
# Going out, nothing is checked: rows may be older than the rules.
MinorUnits = Annotated[int, Meta(examples=[50000])]
Code = Annotated[str, Meta(examples=["INR"])]
Reference = Annotated[str, Meta(examples=[REFERENCE_EXAMPLE])]
GatewayOrder = Annotated[str, Meta(examples=["order_SxT4rqYwGZ8mLd"])]
PaidBy = Annotated[str, Meta(examples=["pay_SxT5bNn0uQa2Kc"])]
RefundedBy = Annotated[str, Meta(examples=["rfnd_SxT9k1JpWm4VeB"])]
Method = Annotated[
    str, Meta(description="card, netbanking, upi, wallet or emandate.", examples=["upi"])
]
ServiceName = Annotated[str, Meta(examples=["CONSULTATION"])]
Text = Annotated[str, Meta(examples=["Consultation, 30 minutes"])]
ObjectIdText = Annotated[str, Meta(examples=[OBJECT_ID_EXAMPLE])]
Standing = Annotated[Status, Meta(examples=["success"])]
MetadataValue = Label | bool | Annotated[int, Meta(ge=-(2**53), le=2**53)] | float | None


class PaymentCreate(Struct, rename="camel", forbid_unknown_fields=True):
    """`idempotencyKey` may come as the `Idempotency-Key` header instead.

    `notes` go to the gateway; `metadata` stays here and follows the configuration of the service type.
    """

    amount: Amount
    currency: Currency
    service_type: Annotated[Identifier, Meta(examples=["CONSULTATION"])]
    description: Annotated[Label, Meta(examples=["Consultation, 30 minutes"])] | None = None
    provider_id: Annotated[Identifier, Meta(examples=[OBJECT_ID_EXAMPLE])] | None = None
    idempotency_key: IdempotencyKey | None = None
    notes: Annotated[dict[NoteName, Label], Meta(max_length=14, examples=[{"cart": "42"}])] = {}
    metadata: Annotated[
        dict[NoteName, MetadataValue], Meta(max_length=32, examples=[{"minutes": 30}])
    ] = {}


class PaymentCreated(Struct, rename="camel"):
    """`orderId` is what Checkout needs."""

    order_id: GatewayOrder
    amount: MinorUnits
    currency: Code
    reference_id: Reference
    status: Annotated[Status, Meta(examples=["pending"])]


class RefundCreate(Struct, rename="camel", forbid_unknown_fields=True):
    """Without an `amount`, all that remains. `idempotencyKey` may come as the `Idempotency-Key` header instead."""

    amount: Amount | None = None
    reason: Annotated[Label, Meta(examples=["Appointment cancelled"])] | None = None
    idempotency_key: IdempotencyKey | None = None


class RefundCreated(Struct, rename="camel"):
    """`status` is the refund's, `refundStatus` the payment's; `refundId` is the gateway's."""

    reference_id: Reference
    refund_id: RefundedBy | None
    amount: MinorUnits
    currency: Code
    status: Annotated[RefundState, Meta(examples=["processed"])]
    refund_status: RefundStatus
    amount_refunded: MinorUnits
    amount_refundable: Annotated[int, Meta(examples=[0])]


class PaymentVerify(Struct, rename="camel", forbid_unknown_fields=True):
    """What Checkout hands to your page's `handler`, and the reference of the payment."""

    razorpay_order_id: OrderId
    razorpay_payment_id: PaymentId
    razorpay_signature: Signature
    reference_id: ReferenceId


class PaymentVerified(Struct, rename="camel"):
    message: Annotated[str, Meta(examples=["Payment verified successfully"])]
    payment_method: Method | None
    success: bool = True


class PaymentSummary(Struct, rename="camel"):
    """A line of the history."""

    reference_id: Reference
    status: Standing
    amount: MinorUnits
    currency: Code
    created_at: Instant
    service_type: ServiceName
    razorpay_order_id: GatewayOrder | None = None
    payment_method: Method | None = None
    refund_status: RefundStatus = RefundStatus.NOT_REQUESTED
    amount_refunded: int = 0
    description: Text | None = None


class PaymentStatus(Struct, rename="camel"):
    """What anyone who knows the reference may know."""

    reference_id: Reference
    status: Standing
    amount: MinorUnits
    currency: Code
    updated_at: Instant
    refund_status: RefundStatus = RefundStatus.NOT_REQUESTED
    amount_refunded: int = 0


class StepView(Struct, rename="camel"):
    """One entry of the audit trail."""

    status: Annotated[Status, Meta(examples=["failed"])]
    updated_at: Instant
    source: Annotated[Source, Meta(examples=["webhook"])] | None = None
    event: Annotated[str, Meta(examples=["payment.failed"])] | None = None
    event_id: Annotated[str, Meta(examples=["evt_SxT5cQ2hVd7LrA"])] | None = None
    razorpay_payment_id: PaidBy | None = None
    reason: Annotated[str, Meta(examples=["insufficient_funds"])] | None = None


class RefundView(Struct, rename="camel"):
    """Money going back to the payer."""

    amount: MinorUnits
    status: Annotated[RefundState, Meta(examples=["processed"])]
    refund_id: RefundedBy | None = None
    reason: Annotated[str, Meta(examples=["Appointment cancelled"])] | None = None
    failure: str | None = None
    created_at: Instant | None = None
    updated_at: Instant | None = None


class PaymentView(Struct, rename="camel"):
    """Everything about a payment, for those who may see it."""

    id: ObjectIdText = field(name="_id")
    user_id: ObjectIdText
    reference_id: Reference
    status: Standing
    amount: MinorUnits
    currency: Code
    service_type: ServiceName
    created_at: Instant
    updated_at: Instant
    payment_gateway: str = "razorpay"
    provider_id: ObjectIdText | None = None
    order_id: GatewayOrder | None = None
    razorpay_order_id: GatewayOrder | None = None
    razorpay_payment_id: PaidBy | None = None
    payment_method: Method | None = None
    description: Text | None = None
    notes: Annotated[dict[str, str], Meta(examples=[{"cart": "42"}])] = {}
    metadata: Annotated[dict[str, Any], Meta(examples=[{"minutes": 30}])] = {}
    history: list[StepView] = []
    refund_status: RefundStatus = RefundStatus.NOT_REQUESTED
    amount_refunded: int = 0
    refunds: Annotated[list[RefundView], Meta(examples=[[]])] = []
    paid_at: Instant | None = None


When = Annotated[str, Meta(min_length=10, max_length=40, examples=["2026-01-01"])]


class ExportRequest(Struct, rename="camel", forbid_unknown_fields=True):
    """Days, or times with a zone; `from` is inclusive, `to` is not."""

    start: When = field(name="from")
    end: When = field(name="to")
