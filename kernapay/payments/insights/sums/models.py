"""Stored sums of the payments of an hour or a day, by one kind."""

from datetime import datetime
from typing import Any, ClassVar

from mongoengine import DateTimeField, LongField, StringField

from kernapay.storage.mongo import Record


class InsightSum(Record):
    """What the payments that were created in a span add up to. `sums` has the groups as MongoDB's `$group` gave them.

    `changes` counts what became of payments of the span; `counted` is what it was when they were added up. The sums are
    current while the two are equal. A span that cannot be added up once for all has -1.
    """

    meta: ClassVar[dict[str, Any]] = {"collection": "insight_sums"}

    id: str = StringField(primary_key=True)
    # Hours are those of a zone: BUSINESS_TIMEZONE when they were added up.
    zone: str = StringField(required=True)
    # `all`, or the account to which the payments were.
    scope: str = StringField(required=True)
    by: str = StringField(required=True)
    kind: str = StringField(required=True)
    start: datetime = DateTimeField(required=True)
    end: datetime = DateTimeField(required=True)
    changes: int = LongField(required=True)
    counted: int = LongField(required=True)
    counted_at: datetime | None = DateTimeField(db_field="countedAt")
    due_at: datetime | None = DateTimeField(db_field="dueAt")
    checked_at: datetime | None = DateTimeField(db_field="checkedAt")


class InsightHold(Record):
    """A payment that is being changed without the relay's marker. While it stands, sums of that time are not used."""

    meta: ClassVar[dict[str, Any]] = {"collection": "insight_holds"}

    payment_id: str = StringField(db_field="paymentId", required=True)
    # When the payment was created.
    at: datetime = DateTimeField(required=True)


class InsightProgress(Record):
    """How far the sums of a zone reach: from the day that begins `since`, to the hour that ends `until`.

    Another row says until when the changes of payments were looked through.
    """

    meta: ClassVar[dict[str, Any]] = {"collection": "insight_progress"}

    id: str = StringField(primary_key=True)
    until: datetime = DateTimeField(required=True)
    since: datetime | None = DateTimeField()
