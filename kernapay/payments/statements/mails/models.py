"""The statement_mails collection: which statements are mailed, and which were."""

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from mongoengine import DateTimeField, IntField, ObjectIdField, StringField

from kernapay.storage.mongo import Choice, Record


class MailState(StrEnum):
    DUE = "due"
    # It is in the outbox, or there was nothing to mail.
    DONE = "done"
    FAILED = "failed"


class StatementMail(Record):
    """A month whose providers are looked up, or the statement of one of them for that month."""

    meta: ClassVar[dict[str, Any]] = {"collection": "statement_mails"}

    # `2026-04`, or `2026-04:` and the provider's id. So there is one row for each, whoever makes it.
    id: str = StringField(primary_key=True)
    month: str = StringField(required=True)
    provider_id: str | None = ObjectIdField(db_field="providerId")
    state: MailState = Choice(MailState, required=True, default=MailState.DUE)
    due_at: datetime | None = DateTimeField(db_field="dueAt")
    attempts: int = IntField(default=0)
    error: str | None = StringField()
