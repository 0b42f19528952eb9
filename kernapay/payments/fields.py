"""The fields of the bodies and answers of the payment routes. Amounts are integers in the currency's minor units."""

from typing import Annotated

from msgspec import Meta

from kernapay.core.clock import Instant
from kernapay.core.ids import OBJECT_ID_EXAMPLE
from kernapay.core.patterns import PRINTABLE, Label, explain, must_be
from kernapay.payments.references import REFERENCE_EXAMPLE, REFERENCE_PATTERN
from kernapay.payments.states import RefundSpeed, Status

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
MetadataName = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        pattern=explain(r"^[A-Za-z0-9_.-]+$", "made of letters, digits and . _ - only"),
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
CheckoutUrl = Annotated[
    str,
    Meta(
        description="A page on which whoever has this link can pay, once, until `payableUntil`.",
        examples=["https://pay.shop.example/checkout/ZrHwwqfU5fYBI0VnSm9cUGdiQ3pYd1Q1dlJrMg"],
    ),
]
CustomerId = Annotated[
    ObjectIdText | None,
    Meta(description="The customer of the shop whom the payment is for, if it is for one."),
]
StatusValue = Annotated[Status, Meta(examples=["success"])]
Livemode = Annotated[
    bool | None,
    Meta(
        description="Whether real money moves: false for a payment of a test key, null where it is not known.",
        examples=[True],
    ),
]
AmountPaid = Annotated[
    int | None,
    Meta(
        description="What was paid. It is more than `amount` where the customer bears the gateway's fee, and less with "
        "an offer. Refunds are bounded by it.",
        examples=[50000],
    ),
]
PayableUntil = Annotated[
    Instant | None, Meta(description="When the sale ends, if nobody has paid by then.")
]
Final = Annotated[
    bool,
    Meta(
        description="Whether the sale has ended: paid, expired or cancelled. Until then, a `failed` payment may still "
        "be paid with the same order. Money that comes after an unpaid end is late: `payableUntil` and a day are let "
        "pass, then it goes back, unless LATE_PAYMENTS says otherwise.",
        examples=[True],
    ),
]
Speed = Annotated[
    RefundSpeed,
    Meta(
        description="How the refund is asked for: `optimum` is instant where the customer's bank allows it, for a fee "
        "of the gateway, and else as `normal`, which takes days.",
        examples=["normal"],
    ),
]
SpeedProcessed = Annotated[
    str | None,
    Meta(
        description="How it was made, once the gateway says so: normal or instant.",
        examples=["instant"],
    ),
]
Arn = Annotated[
    str | None,
    Meta(
        description="The reference by which the customer's bank finds the refund.",
        examples=["10000000000000"],
    ),
]
ReturnUrl = Annotated[
    str,
    Meta(
        max_length=500,
        pattern=explain(r"^https?://[\x21-\x7e]+$", "a URL that begins with https:// or http://"),
        examples=["https://shop.example/thanks"],
    ),
]
KeyIdText = Annotated[
    str,
    Meta(
        description="The `key` for the gateway's Checkout. It is public.",
        examples=["rzp_live_SxT1aB2cD3eF4g"],
    ),
]
MerchantName = Annotated[str, Meta(description="MERCHANT_NAME.", examples=["Asha Clinic"])]
MetadataValue = Label | bool | Annotated[int, Meta(ge=-(2**53), le=2**53)] | float | None
