"""The answer with a statement: the payments to a provider in a month, with refunds, disputes and settlements."""

from datetime import date
from typing import Annotated

from msgspec import Meta, Struct

from kernapay.core.clock import Instant
from kernapay.payments.fields import CurrencyCode, ObjectIdText

Minor = Annotated[int, Meta(examples=[50000])]


class StatementFigures(Struct, rename="camel", kw_only=True):
    """The figures of one currency, in minor units, of what happened in the month.

    `received` is what was paid, `refunded` what was refunded for good of refunds made in the month, `refundsUnderWay`
    what of them the gateway has not finished. `disputed` is what banks asked back, and `deducted` what of it the
    gateway has taken. `fee`, with its `tax`, is the gateway's for what was paid. `net` is what was received, less fee,
    refunded and deducted. `settled` is what the transfers of the month to the bank account have of these payments.

    Fee, net and what was settled are in rupees, so `net` of another currency is null.
    """

    currency: CurrencyCode
    payments: Annotated[int, Meta(examples=[3])] = 0
    received: Minor = 0
    refunds: Annotated[int, Meta(examples=[1])] = 0
    refunded: Minor = 0
    refunds_under_way: Minor = 0
    disputes: Annotated[int, Meta(examples=[0])] = 0
    disputed: Minor = 0
    deducted: Minor = 0
    fee: Minor = 0
    tax: Minor = 0
    net: Minor | None = None
    settled: Minor = 0


class StatementDay(Struct, rename="camel", kw_only=True):
    """What happened on a day of the business, in one currency. Days without anything are left out."""

    on: Annotated[date, Meta(examples=["2026-04-01"])]
    currency: CurrencyCode
    received: Minor = 0
    refunded: Minor = 0
    settled: Minor = 0


class StatementTransfer(Struct, rename="camel", kw_only=True):
    """A transfer to the bank account, and what of it is for the provider's payments, in paise."""

    settlement_id: Annotated[str, Meta(examples=["setl_SxT5cQ2hVd7LrA"])]
    utr: Annotated[str | None, Meta(examples=["HDFCN52026040112345678"])] = None
    on: Annotated[date, Meta(examples=["2026-04-03"])]
    amount: Minor


class Statement(Struct, rename="camel", kw_only=True):
    """What was paid to a provider in a month of the business.

    It contains what is known now. Refunds and disputes of the month may still change, and so may the present month.
    """

    provider_id: ObjectIdText
    provider: Annotated[str | None, Meta(examples=["Dr Meera Shah"])] = None
    month: Annotated[str, Meta(examples=["2026-04"])]
    start: Instant
    end: Instant
    timezone: Annotated[str, Meta(examples=["Asia/Kolkata"])]
    is_over: bool
    figures: list[StatementFigures]
    days: list[StatementDay]
    transfers: list[StatementTransfer]
