"""The answers of the routes for lists of payments."""

from typing import Annotated

from msgspec import Meta, Struct, field

from kernapay.core.clock import Instant
from kernapay.payments.dtos import PaymentSummary
from kernapay.payments.fields import (
    CurrencyCode,
    CustomerId,
    MinorUnits,
    ObjectIdText,
    ReferenceText,
    StatusValue,
)


class ListedPayment(PaymentSummary, rename="camel", kw_only=True):
    """One payment in a list, with its payer, the customer of a shop, and what the payer wrote as the provider."""

    user_id: ObjectIdText
    provider_id: ObjectIdText | None = None
    customer_id: CustomerId = None


class PaymentList(Struct, rename="camel"):
    """A page of payments, newest first. `nextCursor` is the `cursor` of the next page; null after the last one."""

    payments: list[ListedPayment]
    next_cursor: Annotated[ReferenceText | None, Meta(description="Null after the last page.")] = (
        None
    )


class PaymentTotal(Struct, rename="camel"):
    """The total of the payments of one currency and status, in the currency's minor units."""

    currency: CurrencyCode
    status: StatusValue
    count: Annotated[int, Meta(examples=[12])]
    amount: Annotated[MinorUnits, Meta(description="What was ordered.")]
    amount_paid: Annotated[MinorUnits, Meta(description="What was paid, before refunds.")]
    amount_refunded: Annotated[int, Meta(description="What was refunded of it.", examples=[0])]


class PaymentTotals(Struct, rename="camel"):
    """The totals of a period, by currency and status. Pairs without payments are left out."""

    start: Annotated[Instant, Meta(description="Inclusive.")] = field(name="from")
    end: Annotated[Instant, Meta(description="Exclusive.")] = field(name="to")
    totals: list[PaymentTotal]
