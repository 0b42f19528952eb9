"""The answer with sums of payments over time. Amounts are integers in the currency's minor units."""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct, field

from kernapay.core.clock import Instant
from kernapay.payments.fields import CurrencyCode

Count = Annotated[int, Meta(examples=[12])]
Sum = Annotated[int, Meta(examples=[600000])]


class Unit(StrEnum):
    HOUR = "hour"
    DAY = "day"


class Breakdown(StrEnum):
    METHOD = "method"
    PROVIDER = "provider"
    SERVICE_TYPE = "serviceType"


class Figures(Struct, rename="camel", kw_only=True):
    """What the payments that were created in a time add up to, in one currency, as they stand now.

    `created` counts them all; `paid` those that were paid, also if they were refunded since; `open` those that
    wait; `failed` those that failed or ended unpaid. `disputed` counts those that were ever disputed,
    `refunded` those of which something was refunded. `amountPaid` is what was paid before refunds, `amountRefunded`
    what was refunded of it.
    """

    currency: CurrencyCode
    created: Count = 0
    paid: Count = 0
    open: Count = 0
    failed: Count = 0
    refunded: Annotated[int, Meta(examples=[1])] = 0
    disputed: Annotated[int, Meta(examples=[0])] = 0
    amount_paid: Sum = 0
    amount_refunded: Annotated[int, Meta(examples=[50000])] = 0


class Bucket(Figures, rename="camel", kw_only=True):
    """An hour or a day of the business. `start` is its first instant."""

    start: Instant


class Group(Figures, rename="camel", kw_only=True):
    """The payments of one method, provider or service type. `name` is null for those without one."""

    name: Annotated[str | None, Meta(examples=["upi"])] = None


class Insights(Struct, rename="camel", kw_only=True):
    """A period added up: in all, by hour or day, and by what was asked for, each by currency.

    Hours and days in which no payment was created are left out. `groups` has the largest of each currency by what was
    paid, and `otherGroups` counts the rest.
    """

    start: Annotated[Instant, Meta(description="Inclusive.")] = field(name="from")
    end: Annotated[Instant, Meta(description="Exclusive.")] = field(name="to")
    timezone: Annotated[str, Meta(examples=["Asia/Kolkata"])]
    totals: list[Figures]
    series: list[Bucket]
    groups: list[Group] = []
    other_groups: Annotated[int, Meta(examples=[0])] = 0
