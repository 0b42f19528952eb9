"""The messages collection, which is the outbox: one row per message, until it is sent or given up."""

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
    """Stored, but never sent: an unknown address must cost the same work as a known one."""


class Message(Record):
    """A message to somebody. Address, subject, text and file are deleted once it is sent or given up."""

    meta: ClassVar[dict[str, Any]] = {"collection": "messages"}

    user_id: str | None = ObjectIdField(db_field="userId")
    channel: Channel = Choice(Channel, required=True)
    kind: str = StringField(required=True)
    to: str | None = StringField()
    subject: str | None = StringField()
    sealed_text: bytes | None = BinaryField(db_field="sealedText")
    # A file of an e-mail, and the name that it has there.
    sealed_file: bytes | None = BinaryField(db_field="sealedFile")
    file_name: str | None = StringField(db_field="fileName")
    file_type: str | None = StringField(db_field="fileType")
    status: MessageStatus = Choice(MessageStatus, required=True, default=MessageStatus.PENDING)
    attempts: int = IntField(default=0)
    next_at: datetime = DateTimeField(db_field="nextAt", required=True)
    expires_at: datetime = DateTimeField(db_field="expiresAt", required=True)
    sent_at: datetime | None = DateTimeField(db_field="sentAt")
    error: str | None = StringField()
