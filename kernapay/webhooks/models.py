"""The inbox: every event with a valid signature, without what is personal in it, and without texts of the business."""

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from mongoengine import BinaryField, DateTimeField, IntField, StringField

from kernapay.storage.mongo import Choice, Record


class EventStatus(StrEnum):
    PENDING = "pending"
    PROCESSED = "processed"
    IGNORED = "ignored"
    """Stored, but it does not concern KernaPay."""
    PARKED = "parked"
    """Given up after the last attempt; `error` says why. It stays until a person replays it or ends it."""


class WebhookEvent(Record):
    """One event, deleted 45 days after it was processed (Razorpay: it may be sent again for 15 days).

    `body_hash` is that of the body as it was received.
    """

    meta: ClassVar[dict[str, Any]] = {"collection": "webhook_events"}
    unique_fields = frozenset({"id", "event_id"})

    event_id: str = StringField(db_field="eventId", required=True)
    body_hash: str = StringField(db_field="bodyHash", required=True)
    body: bytes = BinaryField(required=True)
    event: str = StringField()
    status: EventStatus = Choice(EventStatus, required=True, default=EventStatus.PENDING)
    attempts: int = IntField(default=0)
    next_at: datetime = DateTimeField(db_field="nextAt", required=True)
    processed_at: datetime | None = DateTimeField(db_field="processedAt")
    outcome: str | None = StringField()
    error: str | None = StringField()
