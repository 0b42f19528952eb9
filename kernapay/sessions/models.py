"""The sessions collection, one row per device that signed in, and the second factors of accounts."""

from datetime import datetime
from typing import Any, ClassVar

from mongoengine import (
    BinaryField,
    BooleanField,
    DateTimeField,
    IntField,
    ObjectIdField,
    StringField,
)

from kernapay.storage.documents import Items
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
    # Whether it is one of the console's: in a cookie, without a refresh token, and it ends when it is not used.
    is_console: bool | None = BooleanField(db_field="isConsole")
    # When its owner last proved who they are, if that was after the sign-in.
    proven_at: datetime | None = DateTimeField(db_field="provenAt")


class SecondFactor(Record):
    """The second factor of an account: the key of its authenticator, and what is left of its recovery codes.

    Its id is that of the account. There is a row only once a first code has proved that the authenticator works.
    """

    meta: ClassVar[dict[str, Any]] = {"collection": "second_factors"}

    id: str = ObjectIdField(primary_key=True)
    sealed: bytes = BinaryField(required=True)
    # The time step of the newest code that was used. Neither it nor an earlier one works again.
    last_step: int = IntField(db_field="lastStep", required=True)
    # Codes have 80 random bits, so hashes without a key do not betray them.
    recovery_hashes: list[str] = Items(StringField(), db_field="recoveryHashes")
