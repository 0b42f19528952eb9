"""The sessions collection: one row per device that signed in."""

from datetime import datetime
from typing import Any, ClassVar

from mongoengine import DateTimeField, ObjectIdField, StringField

from kernapay.storage.mongo import Record


class Session(Record):
    """A device that is signed in, with the hashes of its refresh tokens. Each refresh extends `expires_at`."""

    meta: ClassVar[dict[str, Any]] = {"collection": "sessions"}

    id: str = StringField(primary_key=True)
    user_id: str = ObjectIdField(db_field="userId", required=True)
    user_agent: str | None = StringField(db_field="userAgent", max_length=200)
    last_used_at: datetime = DateTimeField(db_field="lastUsedAt")
    expires_at: datetime = DateTimeField(db_field="expiresAt", required=True)
    refresh_hash: str | None = StringField(db_field="refreshHash")
    previous_hash: str | None = StringField(db_field="previousHash")
    rotated_at: datetime | None = DateTimeField(db_field="rotatedAt")
