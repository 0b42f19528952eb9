"""The answer for the checkout page, and the row it is made from. Amounts are in minor units."""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct, field

from kernapay.core.clock import Instant
from kernapay.customers.dtos import Prefill
from kernapay.payments.fields import (
    CurrencyCode,
    DescriptionText,
    GatewayOrderId,
    KeyIdText,
    Livemode,
    MerchantName,
    MinorUnits,
    PayableUntil,
    ReferenceText,
)
from kernapay.payments.states import Status


class CheckoutState(StrEnum):
    OPEN = "open"
    # Authorised at the gateway and not captured yet: nobody must pay once more.
    CONFIRMING = "confirming"
    PAID = "paid"
    REFUNDED = "refunded"
    ENDED = "ended"


class CheckoutPage(Struct, rename="camel"):
    """A payment as its checkout page shows it.

    `key`, `orderId`, `script` and `prefill` are there while it can be paid.
    """

    state: Annotated[CheckoutState, Meta(examples=["open"])]
    reference_id: ReferenceText
    amount: MinorUnits
    currency: CurrencyCode
    decimals: Annotated[int, Meta(description="Of the currency.", examples=[2])]
    name: MerchantName
    description: DescriptionText | None = None
    livemode: Livemode = None
    payable_until: PayableUntil = None
    key: KeyIdText | None = None
    order_id: GatewayOrderId | None = None
    script: (
        Annotated[
            str,
            Meta(
                description="The gateway's Checkout.",
                examples=["https://checkout.razorpay.com/v1/checkout.js"],
            ),
        ]
        | None
    ) = None
    prefill: Prefill | None = None
    success_url: str | None = None
    cancel_url: str | None = None


class CheckoutRow(Struct, rename="camel"):
    """The part of a payment's row that the page needs."""

    id: str = field(name="_id")
    reference_id: str
    amount: int
    currency: str
    status: Status
    checkout: bool | None = None
    final: bool | None = None
    description: str | None = None
    razorpay_order_id: str | None = None
    authorized_at: Instant | None = None
    customer_id: str | None = None
    livemode: bool | None = None
    payable_until: Instant | None = None
    success_url: str | None = None
    cancel_url: str | None = None
