"""The api_keys collection. Revoked keys are not deleted: the audit log refers to them by `keyId`."""

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from mongoengine import DateTimeField, ObjectIdField, StringField

from kernapay.security.principal import Role
from kernapay.storage.documents import Items
from kernapay.storage.mongo import Choice, Record


class EndReason(StrEnum):
    """Why a key was revoked."""

    REVOKED = "revoked"
    ACCOUNT_CHANGED = "account_changed"
    MAKER_NOT_ADMIN = "maker_not_admin"


class ApiKey(Record):
    """The key of a back end. Only its SHA-256 is stored, as `digest`.

    Its maker vouches for it, or the administrator who adopted it last.
    """

    meta: ClassVar[dict[str, Any]] = {"collection": "api_keys"}

    name: str = StringField(required=True)
    digest: str = StringField(required=True)
    hint: str = StringField(required=True)
    user_id: str = ObjectIdField(db_field="userId", required=True)
    role: Role = Choice(Role, required=True)
    # Text, not Scope: a scope that another version knows must be in no way of revoking the key. MongoEngine's default
    # is an empty list, which would allow nothing.
    scopes: list[str] | None = Items(StringField(), default=None)
    # Of the pages that the checkout page may lead to, as browsers write origins.
    checkout_origins: list[str] = Items(StringField(), db_field="checkoutOrigins")
    created_by: str = ObjectIdField(db_field="createdBy", required=True)
    adopted_by: str | None = ObjectIdField(db_field="adoptedBy")
    expires_at: datetime | None = DateTimeField(db_field="expiresAt")
    revoked_at: datetime | None = DateTimeField(db_field="revokedAt")
    revoked_reason: EndReason | None = Choice(EndReason, db_field="revokedReason")
    last_used_at: datetime | None = DateTimeField(db_field="lastUsedAt")
