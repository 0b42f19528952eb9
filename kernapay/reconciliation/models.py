"""The reports of comparisons with the gateway, and their findings."""

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from mongoengine import (
    BooleanField,
    DateTimeField,
    IntField,
    ObjectIdField,
    StringField,
)

from kernapay.storage.documents import Items, Mapping
from kernapay.storage.mongo import Choice, Record


class ReportState(StrEnum):
    REQUESTED = "requested"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class Kind(StrEnum):
    """The kind of a difference between our records and the gateway's."""

    MISSING_THERE = "missing_there"
    MISSING_HERE = "missing_here"
    UNATTACHED_ORDER = "unattached_order"
    SURPLUS_ORDER = "surplus_order"
    AMOUNT = "amount"
    STATUS = "status"
    REFUNDS = "refunds"
    SECOND_PAYMENT = "second_payment"
    FEE = "fee"
    SETTLEMENT = "settlement"
    UNSETTLED = "unsettled"
    UNREADABLE = "unreadable"
    DISPUTE_MISSING = "dispute_missing"
    DISPUTE_UNKNOWN = "dispute_unknown"
    DISPUTE = "dispute"
    DISPUTE_REFUNDED = "dispute_refunded"


class Report(Record):
    meta: ClassVar[dict[str, Any]] = {"collection": "reconciliation_reports"}

    window_from: datetime = DateTimeField(db_field="from", required=True)
    window_to: datetime = DateTimeField(db_field="to", required=True)
    state: ReportState = Choice(ReportState, required=True, default=ReportState.REQUESTED)
    # The business day of a nightly report. It is unique, so that several workers make one report.
    night: str | None = StringField()
    requested_by: str | None = StringField(db_field="requestedBy")
    lease_until: datetime | None = DateTimeField(db_field="leaseUntil")
    attempts: int = IntField(default=0)
    totals: dict[str, int] = Mapping()
    # Sums by currency, in minor units.
    money: dict[str, dict[str, int]] = Mapping()
    # What could not be compared. A report is complete only if there is nothing; the first ones are named.
    unchecked: list[str] = Items(StringField())
    is_complete: bool | None = BooleanField(db_field="isComplete")
    error: str | None = StringField()
    finished_at: datetime | None = DateTimeField(db_field="finishedAt")
    # Set when it is done: the relay is due, and makes an event of each finding. `announced` is 1 once it has.
    announce: datetime | None = DateTimeField()
    announced: int | None = IntField()


class Finding(Record):
    meta: ClassVar[dict[str, Any]] = {"collection": "reconciliation_findings"}

    report_id: str = ObjectIdField(db_field="reportId", required=True)
    kind: Kind = Choice(Kind, required=True)
    reference_id: str | None = StringField(db_field="referenceId")
    order_id: str | None = StringField(db_field="orderId")
    razorpay_payment_id: str | None = StringField(db_field="razorpayPaymentId")
    dispute_id: str | None = StringField(db_field="disputeId")
    ours: str | None = StringField()
    theirs: str | None = StringField()
    repaired_at: datetime | None = DateTimeField(db_field="repairedAt")
    repaired_by: str | None = StringField(db_field="repairedBy")
    outcome: str | None = StringField()
