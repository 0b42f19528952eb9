"""Settlements to the bank account, their rows and the sums of these, and the days of the feed that were read."""

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from mongoengine import (
    BooleanField,
    DateTimeField,
    IntField,
    LongField,
    StringField,
)

from kernapay.storage.documents import Items
from kernapay.storage.mongo import Choice, Record


class SettlementProblem(StrEnum):
    """Why a person should look at a settlement."""

    AMOUNT_DIFFERS = "amount_differs"
    UNREADABLE_ROWS = "unreadable_rows"
    ROWS_CHANGED = "rows_changed"
    AMOUNT_UNKNOWN = "amount_unknown"
    FAILED = "failed"


class BankSettlement(Record):
    """One transfer of the gateway to the bank account. Amounts are in minor units.

    `credit`, `debit`, `row_fee` and `row_tax` are the sums of its rows, and `difference` is what the bank's line has
    more than credit less debit. `fees` and `tax` are the gateway's own figures, 0 in an ordinary settlement.
    """

    meta: ClassVar[dict[str, Any]] = {"collection": "settlements"}

    settlement_id: str = StringField(db_field="settlementId", required=True)
    status: str = StringField(required=True)
    # None while the gateway has not told it: a row came before its settlement.
    amount: int | None = LongField()
    fees: int = LongField(default=0)
    tax: int = LongField(default=0)
    utr: str | None = StringField()
    settled_at: datetime = DateTimeField(db_field="settledAt", required=True)
    rows: int = IntField(default=0)
    credit: int = LongField(default=0)
    debit: int = LongField(default=0)
    row_fee: int = LongField(db_field="rowFee", default=0)
    row_tax: int = LongField(db_field="rowTax", default=0)
    difference: int | None = LongField()
    problems: list[SettlementProblem] = Items(Choice(SettlementProblem))
    has_problem: bool = BooleanField(db_field="hasProblem", default=False)
    # 0 until an event tells that it was processed. Rows from before this field have none, and are not told of.
    announced: int | None = IntField()
    # Set when it was processed and its rows are added up: the relay is due.
    announce: datetime | None = DateTimeField()

    @property
    def is_processed(self) -> bool:
        """Whether the money went to the bank account. Until then, and if it fails, nothing is settled by it."""
        return self.status == "processed"

    @property
    def has_failed(self) -> bool:
        """Whether the money reached no bank account."""
        return self.status == "failed"


class SettlementRow(Record):
    """One row of the gateway's feed. `credit` came to the bank account, `debit` was taken from it."""

    meta: ClassVar[dict[str, Any]] = {"collection": "settlement_rows"}

    # None while the gateway holds the money back.
    settlement_id: str | None = StringField(db_field="settlementId")
    entity_id: str = StringField(db_field="entityId", required=True)
    type: str = StringField(required=True)
    credit: int = LongField(required=True)
    debit: int = LongField(required=True)
    # In `currency`, which may be another one than that of credit, debit, fee and tax.
    amount: int = LongField(required=True)
    currency: str | None = StringField()
    fee: int = LongField(required=True)
    tax: int = LongField(required=True)
    # When the payment, refund or adjustment was made, and when it was settled.
    entered_at: datetime | None = DateTimeField(db_field="enteredAt")
    settled_at: datetime | None = DateTimeField(db_field="settledAt")
    utr: str | None = StringField()
    payment_id: str | None = StringField(db_field="paymentId")
    order_id: str | None = StringField(db_field="orderId")
    order_receipt: str | None = StringField(db_field="orderReceipt")
    dispute_id: str | None = StringField(db_field="disputeId")
    method: str | None = StringField()
    credit_type: str | None = StringField(db_field="creditType")
    description: str | None = StringField()
    on_hold: bool | None = BooleanField(db_field="onHold")
    # Why the row could not be read. Its amounts count as 0.
    flaw: str | None = StringField()
    # Other amounts that the gateway told of this row later, as text. The first ones count.
    contradictions: list[str] = Items(StringField())
    # Our payment, and when the row was entered there. Without a reference, the row is of another application.
    reference_id: str | None = StringField(db_field="referenceId")
    entered_in_payment_at: datetime | None = DateTimeField(db_field="enteredInPaymentAt")


class SettlementSum(Record):
    """What the rows of one settlement and one type add up to that were entered in one quarter of an hour.

    `quarter` is its start, None for rows that do not say when they were entered.
    """

    meta: ClassVar[dict[str, Any]] = {"collection": "settlement_sums"}

    settlement_id: str = StringField(db_field="settlementId", required=True)
    type: str = StringField(required=True)
    quarter: datetime | None = DateTimeField()
    rows: int = IntField(required=True)
    credit: int = LongField(required=True)
    debit: int = LongField(required=True)
    fee: int = LongField(required=True)
    tax: int = LongField(required=True)
    flaws: int = IntField(required=True)
    contradictions: int = IntField(required=True)


class SettlementDay(Record):
    """A day of the gateway's feed. It is read until long after its end: rows may come late."""

    meta: ClassVar[dict[str, Any]] = {"collection": "settlement_days"}

    day: str = StringField(required=True)
    is_open: bool = BooleanField(db_field="isOpen", default=True)
    due_at: datetime = DateTimeField(db_field="dueAt", required=True)
    attempts: int = IntField(default=0)
    rows: int = IntField(default=0)
    read_at: datetime | None = DateTimeField(db_field="readAt")
    error: str | None = StringField()
