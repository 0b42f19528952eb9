"""What crosses the wire about users."""

from datetime import datetime
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType, field

from kernapay.core.text import Line
from kernapay.security.passwords import MAX_LENGTH, MIN_LENGTH
from kernapay.security.principal import Role
from kernapay.users.models import UserStatus

EmailText = Annotated[str, Meta(min_length=3, max_length=254, examples=["asha@example.com"])]
Password = Annotated[
    str,
    Meta(
        min_length=MIN_LENGTH,
        max_length=MAX_LENGTH,
        pattern=r"^[^\x00\ud800-\udfff]*$",
        examples=["correct horse battery"],
    ),
]
CountryCode = Annotated[str, Meta(pattern=r"^\+[1-9][0-9]{0,3}$", examples=["+91"])]
MobileNumber = (
    Annotated[int, Meta(ge=1, le=999_999_999_999_999, examples=[9876543210])]
    | Annotated[str, Meta(pattern=r"^[0-9]{4,15}$")]
)


class SignUp(Struct, rename="camel", forbid_unknown_fields=True):
    email: EmailText
    name: Annotated[Line, Meta(examples=["Asha Rao"])]
    password: Password
    confirm_password: Annotated[str, Meta(max_length=MAX_LENGTH)]
    mobile_number: MobileNumber
    country_code: CountryCode
    type: Role = Role.USER


class ProfileUpdate(Struct, rename="camel", forbid_unknown_fields=True):
    """What people may change of themselves. A new number has to be verified again."""

    name: Line | UnsetType = UNSET
    mobile_number: MobileNumber | UnsetType = UNSET
    country_code: CountryCode | UnsetType = UNSET


class UserView(Struct, rename="camel"):
    """A user as they and the administrators see them; never the password or its hash."""

    id: str = field(name="_id")
    email: str
    name: str
    type: Role
    status: UserStatus
    country_code: str | None = None
    mobile_number: int | None = None
    is_email_verified: bool = False
    is_mobile_number_verified: bool = False
    created_at: datetime | None = None
    updated_at: datetime | None = None


class Login(Struct, rename="camel", forbid_unknown_fields=True):
    email: EmailText
    password: Annotated[str, Meta(min_length=1, max_length=MAX_LENGTH)]


class SignedInUser(Struct, rename="camel"):
    id: str = field(name="_id")
    email: str
    name: str
    type: Role


class LoggedIn(Struct, rename="camel"):
    """The token goes into `Authorization: Bearer …` until `expiresAt`."""

    token: str
    user: SignedInUser
    expires_at: datetime
