"""The outbox: every message that is owed to somebody, until it is sent or of no use."""

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from mongoengine import BinaryField, DateTimeField, IntField, ObjectIdField, StringField

from kernapay.storage.mongo import Choice, Record


class Channel(StrEnum):
    EMAIL = "email"
    SMS = "sms"


class MessageStatus(StrEnum):
    PENDING = "pending"
    SENT = "sent"
    FAILED = "failed"
    """Given up; `error` says why."""
    DISCARDED = "discarded"
    """Meant for nobody: an unknown address must cost the work of a known one."""


class Message(Record):
    """Once it is sent or given up, the row no longer holds the address or the text."""

    meta: ClassVar[dict[str, Any]] = {"collection": "messages"}

    user_id: str | None = ObjectIdField(db_field="userId")
    channel: Channel = Choice(Channel, required=True)
    kind: str = StringField(required=True)
    to: str | None = StringField()
    subject: str | None = StringField()
    sealed_text: bytes | None = BinaryField(db_field="sealedText")
    status: MessageStatus = Choice(MessageStatus, required=True, default=MessageStatus.PENDING)
    attempts: int = IntField(default=0)
    next_at: datetime = DateTimeField(db_field="nextAt", required=True)
    expires_at: datetime = DateTimeField(db_field="expiresAt", required=True)
    sent_at: datetime | None = DateTimeField(db_field="sentAt")
    error: str | None = StringField()
