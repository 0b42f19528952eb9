"""The bodies and answers of the payment routes. Amounts are integers in the currency's minor units."""

from typing import Annotated

from msgspec import Meta, Struct, field

from kernapay.core.clock import Instant
from kernapay.core.ids import OBJECT_ID_EXAMPLE, OBJECT_ID_PATTERN
from kernapay.core.patterns import Identifier, Label
from kernapay.customers.dtos import CustomerGiven, Prefill
from kernapay.payments.disputes.dtos import DisputeView
from kernapay.payments.facts import PaymentFacts
from kernapay.payments.fields import (
    Amount,
    AmountPaid,
    Arn,
    CheckoutUrl,
    Currency,
    CurrencyCode,
    CustomerId,
    DescriptionText,
    Final,
    GatewayOrderId,
    GatewayPaymentId,
    GatewayRefundId,
    IdempotencyKey,
    KeyIdText,
    Livemode,
    MerchantName,
    MetadataName,
    MetadataValue,
    MinorUnits,
    NoteName,
    OrderId,
    PayableUntil,
    PaymentId,
    PaymentMethod,
    ReferenceId,
    ReferenceText,
    ReturnUrl,
    ServiceTypeName,
    SettlementIdText,
    Signature,
    Speed,
    SpeedProcessed,
    StatusValue,
    UtrText,
)
from kernapay.payments.states import (
    RefundSpeed,
    RefundState,
    RefundStatus,
    Source,
    Status,
    SurplusReason,
)


class PaymentCreate(Struct, rename="camel", forbid_unknown_fields=True):
    """A payment to create. Send the `idempotencyKey` here, or as the `Idempotency-Key` header.

    `notes` are sent to the gateway. `metadata` stays here; the service type decides which names it may have. Both have
    a largest size in bytes, by default 8192 each.

    Lists of payments can be searched by an entry of `metadata` that is text, an integer, true or false.

    `providerId` is the `_id` of an active PROVIDER account other than the payer's, or a label of your own, which gives
    nobody access to the payment.

    A shop, by its API key, says in `customer` or by `customerId` whom the payment is for.

    With `checkout`, the answer has a `checkoutUrl` for the payer. `successUrl` and `cancelUrl` are where its page leads
    afterwards: pages of the `checkoutOrigins` of the API key that the call is made with.
    """

    amount: Amount
    currency: Currency
    service_type: Annotated[Identifier, Meta(examples=["CONSULTATION"])]
    description: Annotated[Label, Meta(examples=["Consultation, 30 minutes"])] | None = None
    provider_id: Annotated[Identifier, Meta(examples=[OBJECT_ID_EXAMPLE])] | None = None
    idempotency_key: IdempotencyKey | None = None
    notes: Annotated[dict[NoteName, Label], Meta(max_length=14, examples=[{"cart": "42"}])] = {}
    metadata: Annotated[
        dict[MetadataName, MetadataValue], Meta(max_length=32, examples=[{"minutes": 30}])
    ] = {}
    # No examples of what only an API key may say: the documentation's own call is that of a person.
    customer: Annotated[CustomerGiven | None, Meta(examples=[None])] = None
    customer_id: Annotated[
        Annotated[str, Meta(pattern=OBJECT_ID_PATTERN)] | None, Meta(examples=[None])
    ] = None
    checkout: bool = False
    success_url: Annotated[ReturnUrl | None, Meta(examples=[None])] = None
    cancel_url: Annotated[ReturnUrl | None, Meta(examples=[None])] = None


class PaymentCreated(Struct, rename="camel"):
    """A new payment. Pass `key`, `orderId`, `amount`, `currency`, `name` and `prefill` to Checkout.

    Or send the payer to `checkoutUrl`, if you asked for it. `prefill` is the customer as stored now.
    """

    order_id: GatewayOrderId
    amount: MinorUnits
    currency: CurrencyCode
    reference_id: ReferenceText
    status: Annotated[Status, Meta(examples=["pending"])]
    livemode: Livemode = None
    payable_until: PayableUntil = None
    final: Annotated[Final, Meta(examples=[False])] = False
    customer_id: CustomerId = None
    key: KeyIdText | None = None
    name: MerchantName | None = None
    prefill: Prefill | None = None
    checkout_url: CheckoutUrl | None = None


class RefundCreate(Struct, rename="camel", forbid_unknown_fields=True):
    """A refund to make. Without an `amount`, all that remains is refunded.

    Send the `idempotencyKey` here, or as the `Idempotency-Key` header.
    """

    amount: Amount | None = None
    reason: Annotated[Label, Meta(examples=["Appointment cancelled"])] | None = None
    idempotency_key: IdempotencyKey | None = None
    speed: Speed = RefundSpeed.NORMAL


class RefundCreated(Struct, rename="camel"):
    """A refund. `status` is the refund's, `refundStatus` the payment's; `refundId` is the gateway's id.

    `warning` names an enquiry of the customer's bank about this payment, which the refund may end.
    """

    reference_id: ReferenceText
    refund_id: GatewayRefundId | None
    amount: MinorUnits
    currency: CurrencyCode
    status: Annotated[RefundState, Meta(examples=["processed"])]
    refund_status: RefundStatus
    amount_refunded: MinorUnits
    amount_refundable: Annotated[int, Meta(examples=[0])]
    livemode: Livemode = None
    warning: str | None = None
    speed: Speed = RefundSpeed.NORMAL
    speed_processed: SpeedProcessed = None
    arn: Arn = None


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
    amount_paid: AmountPaid = None
    payable_until: PayableUntil = None
    final: Final = False


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
    amount_paid: AmountPaid = None
    payable_until: PayableUntil = None
    final: Final = False


class StepView(Struct, rename="camel"):
    """One entry of a payment's history: the status after a change, and where the change came from."""

    status: Annotated[Status, Meta(examples=["failed"])]
    updated_at: Instant
    source: Annotated[Source, Meta(examples=["webhook"])] | None = None
    event: Annotated[str, Meta(examples=["payment.failed"])] | None = None
    event_id: Annotated[str, Meta(examples=["evt_SxT5cQ2hVd7LrA"])] | None = None
    razorpay_payment_id: GatewayPaymentId | None = None
    reason: Annotated[str, Meta(examples=["insufficient_funds"])] | None = None
    final: Annotated[
        bool | None, Meta(description="Whether the sale ended with this step.", examples=[True])
    ] = None
    late: Annotated[
        bool | None,
        Meta(
            description="Whether its money came after an unpaid end of the sale.", examples=[True]
        ),
    ] = None
    amount_refunded: Annotated[
        int | None, Meta(description="All that was refunded after this step.", examples=[50000])
    ] = None


class SurplusView(Struct, rename="camel"):
    """Money that came in for the order and is not for this sale, so it goes back: paid twice, or too late.

    With the status `failed`, nobody could return it, and a person has to.
    """

    payment_id: GatewayPaymentId
    amount: MinorUnits
    reason: Annotated[SurplusReason, Meta(examples=["second_payment"])]
    at: Instant
    status: Annotated[RefundState, Meta(examples=["processed"])]
    refund_id: GatewayRefundId | None = None


class RefundView(Struct, rename="camel"):
    """One refund of a payment."""

    amount: MinorUnits
    status: Annotated[RefundState, Meta(examples=["processed"])]
    refund_id: GatewayRefundId | None = None
    reason: Annotated[str, Meta(examples=["Appointment cancelled"])] | None = None
    failure: str | None = None
    speed: Speed = RefundSpeed.NORMAL
    speed_processed: SpeedProcessed = None
    arn: Arn = None
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


class PaymentView(PaymentFacts, rename="camel"):
    """A payment in full, with its history, its refunds and, for those who may see them, its disputes.

    `providerId` is what the payer wrote. `payeeId` is there if that was the account of an active provider.
    `settlements` are shown to administrators only.
    """

    history: list[StepView] = field(default_factory=list)
    refunds: Annotated[list[RefundView], Meta(examples=[[]])] = field(default_factory=list)
    disputes: Annotated[list[DisputeView], Meta(examples=[[]])] = field(default_factory=list)
    surplus_payments: Annotated[list[SurplusView], Meta(examples=[[]])] = field(
        default_factory=list
    )
    settled_at: Instant | None = None
    settlements: Annotated[list[PayoutView], Meta(examples=[[]])] = field(default_factory=list)
