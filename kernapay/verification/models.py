"""One-time codes: at most one live code per purpose and subject."""

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from mongoengine import (
    DateTimeField,
    IntField,
    StringField,
)

from kernapay.storage.documents import Part, Parts
from kernapay.storage.mongo import Record


class Purpose(StrEnum):
    EMAIL = "email"
    MOBILE = "mobile"
    PASSWORD = "password"  # noqa: S105


class EarlierCode(Part):
    """A code that a later one has not replaced."""

    meta: ClassVar[dict[str, Any]] = {"strict": False}

    digest: str = StringField(required=True)
    expires_at: datetime = DateTimeField(db_field="expiresAt", required=True)


class Code(Record):
    """A subject's newest code, the earlier ones that are still valid, and their limits.

    The row outlives the code, so that the wait between codes and the number in a day are enforced.
    """

    meta: ClassVar[dict[str, Any]] = {"collection": "codes"}

    id: str = StringField(primary_key=True)
    """`{purpose}:{keyed digest of the subject}`"""
    digest: str | None = StringField()
    """None once the code is spent."""
    earlier: list[EarlierCode] = Parts(EarlierCode)
    attempts: int = IntField(default=0)
    sent_at: datetime = DateTimeField(db_field="sentAt", required=True)
    expires_at: datetime = DateTimeField(db_field="expiresAt", required=True)
    issued: int = IntField(default=1)
    """How many codes in the current period, since one was spent."""
    day_ends: datetime = DateTimeField(db_field="dayEnds", required=True)
    """The end of the period, and the lifetime of a code after that."""
