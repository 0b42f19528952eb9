"""The users collection."""

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, NamedTuple

from mongoengine import BooleanField, DateTimeField, LongField, StringField

from kernapay.security.principal import Role
from kernapay.storage.mongo import Choice, Record


class UserStatus(StrEnum):
    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"


class Standing(NamedTuple):
    """What an account may do: its role, and whether it is active."""

    role: Role
    status: UserStatus

    @property
    def is_active(self) -> bool:
        return self.status is UserStatus.ACTIVE

    @property
    def is_active_admin(self) -> bool:
        return self.is_active and self.role is Role.ADMIN


class User(Record):
    """A person with an account. An erased one has a placeholder as its name and its address."""

    meta: ClassVar[dict[str, Any]] = {"collection": "users"}

    email: str = StringField(required=True)
    name: str = StringField(required=True)
    # `name` in case-folded form: searches ignore upper and lower case.
    name_folded: str = StringField(db_field="nameFolded")
    password: str = StringField(required=True)
    mobile_number: int | None = LongField(db_field="mobileNumber")
    country_code: str | None = StringField(db_field="countryCode")
    type: Role = Choice(Role, required=True)
    status: UserStatus = Choice(UserStatus, required=True, default=UserStatus.ACTIVE)
    is_email_verified: bool = BooleanField(db_field="isEmailVerified", default=False)
    is_mobile_number_verified: bool = BooleanField(db_field="isMobileNumberVerified", default=False)
    # An administrator's word. It ends with the role.
    is_approved_provider: bool = BooleanField(db_field="isApprovedProvider", default=False)
    erased_at: datetime | None = DateTimeField(db_field="erasedAt")
    # Of an imported account: a hash of its row in the earlier service, when that was last imported.
    former_seen: str | None = StringField(db_field="formerSeen")
    refresh_token: str | None = StringField(db_field="refreshToken")

    @property
    def standing(self) -> Standing:
        return Standing(self.type, self.status)
