"""The answers of the settlement routes. Amounts are integers in minor units of the settlement's currency."""

from datetime import date
from typing import Annotated

from msgspec import Meta, Struct, field

from kernapay.core.clock import Instant
from kernapay.payments.fields import (
    CurrencyCode,
    GatewayOrderId,
    GatewayPaymentId,
    MinorUnits,
    ReferenceText,
    SettlementIdText,
    UtrText,
)
from kernapay.settlements.models import SettlementProblem

Count = Annotated[int, Meta(examples=[1])]
Net = Annotated[int, Meta(examples=[48820])]
Fee = Annotated[int, Meta(examples=[1180])]
Tax = Annotated[int, Meta(examples=[180])]
Nothing = Annotated[int, Meta(examples=[0])]
Day = Annotated[date, Meta(examples=["2026-04-01"])]


class SettlementView(Struct, rename="camel"):
    """One transfer to the bank account. `amount` is the bank's line.

    `credit` and `debit` are the sums of its rows, `difference` is what the bank's line has more than credit less debit,
    and `rowFee` and `rowTax` are what the rows say of fees. `fees` and `tax` are the gateway's own figures: 0 in an
    ordinary settlement.
    """

    settlement_id: SettlementIdText
    status: Annotated[str, Meta(examples=["processed"])]
    settled_at: Instant
    amount: Net | None = None
    utr: UtrText | None = None
    fees: Nothing = 0
    tax: Nothing = 0
    rows: Count = 0
    credit: Net = 0
    debit: Nothing = 0
    row_fee: Fee = 0
    row_tax: Tax = 0
    difference: Nothing | None = None
    problems: Annotated[list[SettlementProblem], Meta(examples=[[]])] = []


class SettlementRowView(Struct, rename="camel"):
    """One row of a settlement: `credit` came to the bank account, `debit` was taken from it.

    `amount` is in `currency`, which differs from that of the settlement for some international payments. Without a
    `referenceId`, the row is not of KernaPay: of another application of the same account, or an adjustment.
    `flaw` says why a row could not be read.
    """

    entity_id: Annotated[str, Meta(examples=["pay_SxT5bNn0uQa2Kc"])]
    type: Annotated[str, Meta(examples=["payment"])]
    credit: Net
    debit: Nothing
    amount: MinorUnits
    fee: Fee
    tax: Tax
    currency: CurrencyCode | None = None
    entered_at: Instant | None = None
    settled_at: Instant | None = None
    utr: UtrText | None = None
    reference_id: ReferenceText | None = None
    payment_id: GatewayPaymentId | None = None
    order_id: GatewayOrderId | None = None
    order_receipt: Annotated[str, Meta(examples=["KP_66b1f0c2a7d4e5f601234567"])] | None = None
    dispute_id: Annotated[str, Meta(examples=["disp_SxZ1pWq7RtYbNc"])] | None = None
    method: Annotated[str, Meta(examples=["upi"])] | None = None
    credit_type: Annotated[str, Meta(examples=["default"])] | None = None
    description: Annotated[str, Meta(examples=["Consultation, 30 minutes"])] | None = None
    on_hold: bool | None = None
    flaw: str | None = None
    contradictions: Annotated[list[str], Meta(examples=[[]])] = []


class ListedRow(SettlementRowView, rename="camel", kw_only=True):
    """A row among those of other settlements. Without a `settlementId`, the gateway holds the money back."""

    settlement_id: SettlementIdText | None = None


class SettlementDetail(Struct, rename="camel"):
    """A settlement with a page of its rows. `net` is credit less debit of all of them."""

    settlement: SettlementView
    currency: CurrencyCode
    net: Net
    rows: list[SettlementRowView]


class LedgerSum(Struct, rename="camel"):
    """The sum of some rows. `net` is credit less debit; fees are subtracted in `credit` already."""

    rows: Count = 0
    credit: Net = 0
    debit: Nothing = 0
    net: Net = 0
    fee: Fee = 0
    tax: Tax = 0


Types = Annotated[
    dict[str, LedgerSum],
    Meta(
        examples=[
            {
                "payment": {
                    "rows": 1,
                    "credit": 48820,
                    "debit": 0,
                    "net": 48820,
                    "fee": 1180,
                    "tax": 180,
                }
            }
        ]
    ),
]


class PaidDay(Struct, rename="camel"):
    """What was paid, refunded and adjusted on a day of the business, as far as it is settled, by type of row.

    `unsettled` counts the payments of the day that are not settled yet, with their amounts by currency.
    """

    day: Day
    total: LedgerSum
    types: Types
    unsettled: Count = 0
    unsettled_amounts: Annotated[dict[str, int], Meta(examples=[{}])] = {}


class SettledDay(Struct, rename="camel"):
    """What was settled on a day of the business, by type of row.

    `bank` is the sum of the bank's lines of the day, and `difference` what it has more than the rows.
    """

    day: Day
    total: LedgerSum
    types: Types
    bank: Net = 0
    difference: Nothing = 0


class Ledger(Struct, rename="camel"):
    """The daily ledger of a period. `to` is exclusive. Days are those of `timezone`; days without rows are left out.

    Rows of a settlement that is not processed, or failed, reached no bank account, so they are in neither list.
    """

    start: Day = field(name="from")
    end: Day = field(name="to")
    timezone: Annotated[str, Meta(examples=["Asia/Kolkata"])]
    currency: CurrencyCode
    by_paid_day: list[PaidDay]
    by_settled_day: list[SettledDay]


class Unsettled(Struct, rename="camel"):
    """A payment that was captured and is not settled after `SETTLED_WITHIN`."""

    reference_id: ReferenceText
    amount: MinorUnits
    currency: CurrencyCode
    paid_at: Instant
    razorpay_payment_id: GatewayPaymentId | None = None
    razorpay_order_id: GatewayOrderId | None = None
