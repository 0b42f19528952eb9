"""The fields of a payment that both the API's answer and the events contain."""

from typing import Annotated, Any

from msgspec import Meta, Struct, field

from kernapay.core.clock import Instant
from kernapay.payments.fields import (
    AmountPaid,
    CurrencyCode,
    CustomerId,
    DescriptionText,
    Final,
    GatewayOrderId,
    GatewayPaymentId,
    Livemode,
    MinorUnits,
    ObjectIdText,
    PayableUntil,
    PaymentMethod,
    ReferenceText,
    ServiceTypeName,
    StatusValue,
)
from kernapay.payments.states import RefundStatus


class PaymentFacts(Struct, rename="camel"):
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
    customer_id: CustomerId = None
    order_id: GatewayOrderId | None = None
    razorpay_order_id: GatewayOrderId | None = None
    razorpay_payment_id: GatewayPaymentId | None = None
    payment_method: PaymentMethod | None = None
    description: DescriptionText | None = None
    notes: Annotated[dict[str, str], Meta(examples=[{"cart": "42"}])] = {}
    metadata: Annotated[dict[str, Any], Meta(examples=[{"minutes": 30}])] = {}
    refund_status: RefundStatus = RefundStatus.NOT_REQUESTED
    amount_refunded: int = 0
    paid_at: Annotated[
        Instant | None, Meta(description="When the payer paid, by the gateway's clock.")
    ] = None
    livemode: Livemode = None
    amount_paid: AmountPaid = None
    fee_bearer: Annotated[
        str | None,
        Meta(description="Who bears the gateway's fee, if it says so.", examples=["customer"]),
    ] = None
    offer_id: Annotated[str | None, Meta(examples=["offer_SxT5bNn0uQa2Kc"])] = None
    payable_until: PayableUntil = None
    final: Final = False
    cancelled_at: Instant | None = None
