"""Request and response structs for the management of accounts."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from kernapay.core.patterns import Line
from kernapay.security.passwords import MAX_LENGTH
from kernapay.security.principal import Role
from kernapay.users.dtos import CountryCode, EmailText, MobileNumber, Password, UserView
from kernapay.users.models import UserStatus


class NewUser(Struct, rename="camel", forbid_unknown_fields=True):
    """An account for somebody else.

    Leave `password` out, and the owner sets one with `POST /v1/api/users/password/forgot`. Then nobody else knows it.
    """

    email: EmailText
    name: Annotated[Line, Meta(examples=["Asha Rao"])]
    mobile_number: MobileNumber
    country_code: CountryCode
    type: Annotated[Role, Meta(examples=["LAB_ASSISTANT"])]
    password: Password | None = None
    confirm_password: Annotated[str, Meta(max_length=MAX_LENGTH)] | None = None


class RoleChange(Struct, rename="camel", forbid_unknown_fields=True):
    """The new role of an account."""

    role: Annotated[Role, Meta(examples=["LAB_ASSISTANT"])]


class UserPage(Struct, rename="camel"):
    """Accounts, newest first. `total` counts all that match the filters."""

    total: int
    users: list[UserView]


class UserSearch(Struct, frozen=True):
    """Search criteria. None means any."""

    prefix: str | None = None
    type: Role | None = None
    status: UserStatus | None = None
    approved: bool | None = None
    created_before: datetime | None = None
    created_after: datetime | None = None
