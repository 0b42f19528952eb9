"""The api_keys collection. A revoked key stays, so that the audit log's `keyId` keeps its meaning."""

from datetime import datetime
from typing import Any, ClassVar

from mongoengine import DateTimeField, ObjectIdField, StringField

from kernapay.security.principal import Role
from kernapay.storage.mongo import Choice, Record


class ApiKey(Record):
    """A back end's key. Only its digest is stored."""

    meta: ClassVar[dict[str, Any]] = {"collection": "api_keys"}

    name: str = StringField(required=True)
    digest: str = StringField(required=True)
    hint: str = StringField(required=True)
    user_id: str = ObjectIdField(db_field="userId", required=True)
    role: Role = Choice(Role, required=True)
    created_by: str = ObjectIdField(db_field="createdBy", required=True)
    expires_at: datetime | None = DateTimeField(db_field="expiresAt")
    revoked_at: datetime | None = DateTimeField(db_field="revokedAt")
    last_used_at: datetime | None = DateTimeField(db_field="lastUsedAt")
