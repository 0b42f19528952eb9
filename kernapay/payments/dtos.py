"""The bodies and answers of the payment routes. Amounts are integers in the currency's minor units."""

from typing import Annotated, Any

from msgspec import Meta, Struct, field

from kernapay.core.clock import Instant
from kernapay.core.ids import OBJECT_ID_EXAMPLE
from kernapay.core.patterns import PRINTABLE, Identifier, Label, explain, must_be
from kernapay.payments.references import REFERENCE_EXAMPLE, REFERENCE_PATTERN
from kernapay.payments.states import RefundState, RefundStatus, Source, Status

_PAISE = must_be("an integer in paise: 50000 for ₹500.00")
Amount = Annotated[int, Meta(ge=1, le=2**53, examples=[50000], extra=_PAISE)]
Currency = Annotated[
    str, Meta(pattern=explain("^[A-Z]{3}$", "a currency code such as INR"), examples=["INR"])
]
ReferenceId = Annotated[
    str, Meta(max_length=128, pattern=REFERENCE_PATTERN, examples=[REFERENCE_EXAMPLE])
]
OrderId = Annotated[
    str,
    Meta(
        pattern=explain(
            r"^order_[A-Za-z0-9]{1,32}$", "the gateway's order id, such as order_SxT4rqYwGZ8mLd"
        ),
        examples=["order_SxT4rqYwGZ8mLd"],
    ),
]
PaymentId = Annotated[
    str,
    Meta(
        pattern=explain(
            r"^pay_[A-Za-z0-9]{1,32}$", "the gateway's payment id, such as pay_SxT5bNn0uQa2Kc"
        ),
        examples=["pay_SxT5bNn0uQa2Kc"],
    ),
]
Signature = Annotated[
    str, Meta(min_length=1, max_length=256, pattern=PRINTABLE, examples=["5f" * 32])
]
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
# Types for answers. They have no limits, because a stored row may be older than a limit.
MinorUnits = Annotated[int, Meta(examples=[50000])]
CurrencyCode = Annotated[str, Meta(examples=["INR"])]
ReferenceText = Annotated[str, Meta(examples=[REFERENCE_EXAMPLE])]
GatewayOrderId = Annotated[str, Meta(examples=["order_SxT4rqYwGZ8mLd"])]
GatewayPaymentId = Annotated[str, Meta(examples=["pay_SxT5bNn0uQa2Kc"])]
GatewayRefundId = Annotated[str, Meta(examples=["rfnd_SxT9k1JpWm4VeB"])]
SettlementIdText = Annotated[str, Meta(examples=["setl_SxVc3mQe8TzYaK"])]
UtrText = Annotated[str, Meta(examples=["1769941800k3Xq9a"])]
PaymentMethod = Annotated[
    str, Meta(description="card, netbanking, upi, wallet or emandate.", examples=["upi"])
]
ServiceTypeName = Annotated[str, Meta(examples=["CONSULTATION"])]
DescriptionText = Annotated[str, Meta(examples=["Consultation, 30 minutes"])]
ObjectIdText = Annotated[str, Meta(examples=[OBJECT_ID_EXAMPLE])]
StatusValue = Annotated[Status, Meta(examples=["success"])]
Livemode = Annotated[
    bool | None,
    Meta(
        description="Whether real money moves: false for a payment of a test key, null where it is not known.",
        examples=[True],
    ),
]
MetadataValue = Label | bool | Annotated[int, Meta(ge=-(2**53), le=2**53)] | float | None


class PaymentCreate(Struct, rename="camel", forbid_unknown_fields=True):
    """A payment to create. Send the `idempotencyKey` here, or as the `Idempotency-Key` header.

    `notes` are sent to the gateway. `metadata` stays here; the service type decides which names it may have. Both have
    a largest size in bytes, by default 8192 each.

    `providerId` is the `_id` of an active PROVIDER account other than the payer's, or a label of your own, which gives
    nobody access to the payment.
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
    """A new payment. Pass the `orderId` to Checkout."""

    order_id: GatewayOrderId
    amount: MinorUnits
    currency: CurrencyCode
    reference_id: ReferenceText
    status: Annotated[Status, Meta(examples=["pending"])]
    livemode: Livemode = None


class RefundCreate(Struct, rename="camel", forbid_unknown_fields=True):
    """A refund to make. Without an `amount`, all that remains is refunded.

    Send the `idempotencyKey` here, or as the `Idempotency-Key` header.
    """

    amount: Amount | None = None
    reason: Annotated[Label, Meta(examples=["Appointment cancelled"])] | None = None
    idempotency_key: IdempotencyKey | None = None


class RefundCreated(Struct, rename="camel"):
    """A refund. `status` is the refund's, `refundStatus` the payment's; `refundId` is the gateway's id."""

    reference_id: ReferenceText
    refund_id: GatewayRefundId | None
    amount: MinorUnits
    currency: CurrencyCode
    status: Annotated[RefundState, Meta(examples=["processed"])]
    refund_status: RefundStatus
    amount_refunded: MinorUnits
    amount_refundable: Annotated[int, Meta(examples=[0])]
    livemode: Livemode = None


class PaymentVerify(Struct, rename="camel", forbid_unknown_fields=True):
    """The three values that Checkout passes to your page's `handler`, and the reference of the payment."""

    razorpay_order_id: OrderId
    razorpay_payment_id: PaymentId
    razorpay_signature: Signature
    reference_id: ReferenceId


class PaymentVerified(Struct, rename="camel"):
    message: Annotated[str, Meta(examples=["Payment verified successfully"])]
    payment_method: PaymentMethod | None
    success: bool = True
    livemode: Livemode = None


class PaymentSummary(Struct, rename="camel"):
    """One payment in a list."""

    reference_id: ReferenceText
    status: StatusValue
    amount: MinorUnits
    currency: CurrencyCode
    created_at: Instant
    service_type: ServiceTypeName
    razorpay_order_id: GatewayOrderId | None = None
    payment_method: PaymentMethod | None = None
    refund_status: RefundStatus = RefundStatus.NOT_REQUESTED
    amount_refunded: int = 0
    description: DescriptionText | None = None
    livemode: Livemode = None


class PaymentStatus(Struct, rename="camel"):
    """The public view of a payment: anyone who knows its reference may read it."""

    reference_id: ReferenceText
    status: StatusValue
    amount: MinorUnits
    currency: CurrencyCode
    updated_at: Instant
    refund_status: RefundStatus = RefundStatus.NOT_REQUESTED
    amount_refunded: int = 0
    livemode: Livemode = None


class StepView(Struct, rename="camel"):
    """One entry of a payment's history: the status after a change, and where the change came from."""

    status: Annotated[Status, Meta(examples=["failed"])]
    updated_at: Instant
    source: Annotated[Source, Meta(examples=["webhook"])] | None = None
    event: Annotated[str, Meta(examples=["payment.failed"])] | None = None
    event_id: Annotated[str, Meta(examples=["evt_SxT5cQ2hVd7LrA"])] | None = None
    razorpay_payment_id: GatewayPaymentId | None = None
    reason: Annotated[str, Meta(examples=["insufficient_funds"])] | None = None


class RefundView(Struct, rename="camel"):
    """One refund of a payment."""

    amount: MinorUnits
    status: Annotated[RefundState, Meta(examples=["processed"])]
    refund_id: GatewayRefundId | None = None
    reason: Annotated[str, Meta(examples=["Appointment cancelled"])] | None = None
    failure: str | None = None
    created_at: Instant | None = None
    updated_at: Instant | None = None


class PayoutView(Struct, rename="camel"):
    """One row of a bank settlement that concerns a payment: its own, a refund's or an adjustment's.

    `entityId` is the gateway's id of that. Amounts are in the settlement's currency; `fee` includes `tax`.
    """

    settlement_id: SettlementIdText
    entity_id: GatewayPaymentId
    type: Annotated[str, Meta(examples=["payment"])]
    credit: Annotated[int, Meta(examples=[48820])]
    debit: Annotated[int, Meta(examples=[0])]
    fee: Annotated[int, Meta(examples=[1180])]
    tax: Annotated[int, Meta(examples=[180])]
    utr: UtrText | None = None
    settled_at: Instant | None = None


class PaymentView(Struct, rename="camel"):
    """A payment in full, with its history and refunds.

    `providerId` is what the payer wrote. `payeeId` is there if that was the account of an active provider.
    `settlements` are shown to administrators only.
    """

    id: ObjectIdText = field(name="_id")
    user_id: ObjectIdText
    reference_id: ReferenceText
    status: StatusValue
    amount: MinorUnits
    currency: CurrencyCode
    service_type: ServiceTypeName
    created_at: Instant
    updated_at: Instant
    payment_gateway: str = "razorpay"
    provider_id: ObjectIdText | None = None
    payee_id: ObjectIdText | None = None
    order_id: GatewayOrderId | None = None
    razorpay_order_id: GatewayOrderId | None = None
    razorpay_payment_id: GatewayPaymentId | None = None
    payment_method: PaymentMethod | None = None
    description: DescriptionText | None = None
    notes: Annotated[dict[str, str], Meta(examples=[{"cart": "42"}])] = {}
    metadata: Annotated[dict[str, Any], Meta(examples=[{"minutes": 30}])] = {}
    history: list[StepView] = []
    refund_status: RefundStatus = RefundStatus.NOT_REQUESTED
    amount_refunded: int = 0
    refunds: Annotated[list[RefundView], Meta(examples=[[]])] = []
    paid_at: Instant | None = None
    livemode: Livemode = None
    settled_at: Instant | None = None
    settlements: Annotated[list[PayoutView], Meta(examples=[[]])] = []


DayOrTime = Annotated[
    str, Meta(min_length=10, max_length=40, pattern=PRINTABLE, examples=["2026-01-01"])
]


class ExportRequest(Struct, rename="camel", forbid_unknown_fields=True):
    """The period of an export: days of the business, or times with a zone. `from` is inclusive, `to` is not."""

    start: DayOrTime = field(name="from")
    end: DayOrTime = field(name="to")
