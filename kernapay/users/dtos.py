"""Request and response structs of the user routes."""

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType, field

from kernapay.core.clock import Instant
from kernapay.core.ids import OBJECT_ID_EXAMPLE
from kernapay.core.patterns import SECRET, Line, explain
from kernapay.security.passwords import MAX_LENGTH, MIN_LENGTH
from kernapay.security.principal import Role
from kernapay.users.models import UserStatus

EmailText = Annotated[str, Meta(min_length=3, max_length=254, examples=["asha@example.com"])]
Password = Annotated[
    str,
    Meta(
        min_length=MIN_LENGTH,
        max_length=MAX_LENGTH,
        pattern=SECRET,
        examples=["correct horse battery"],
    ),
]
CountryCode = Annotated[
    str,
    Meta(
        pattern=explain(r"^\+[1-9][0-9]{0,3}$", "a country calling code such as +91"),
        examples=["+91"],
    ),
]
MobileNumber = (
    Annotated[int, Meta(ge=1, le=999_999_999_999_999, examples=[9876543210])]
    | Annotated[str, Meta(pattern=explain(r"^[0-9]{4,15}$", "4 to 15 digits"))]
)
ObjectIdText = Annotated[str, Meta(examples=[OBJECT_ID_EXAMPLE])]
Email = Annotated[str, Meta(examples=["asha@example.com"])]
Name = Annotated[str, Meta(examples=["Asha Rao"])]


class Account(Struct, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A new account, as commands open it: it may have no phone number."""

    email: EmailText
    name: Annotated[Line, Meta(examples=["Asha Rao"])]
    password: Password
    confirm_password: Annotated[
        str, Meta(max_length=MAX_LENGTH, examples=["correct horse battery"])
    ]
    mobile_number: MobileNumber | None = None
    country_code: CountryCode | None = None
    type: Role = Role.USER


class SignUp(Account, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A new account. `mobileNumber` is the national number, without the country code. `type` cannot be ADMIN."""

    mobile_number: MobileNumber
    country_code: CountryCode


class ProfileUpdate(Struct, rename="camel", forbid_unknown_fields=True):
    """Changes to the caller's profile. A new mobile number has to be verified again."""

    name: Annotated[Line, Meta(examples=["Asha Rao"])] | UnsetType = UNSET
    mobile_number: MobileNumber | UnsetType = UNSET
    country_code: CountryCode | UnsetType = UNSET


class UserView(Struct, rename="camel"):
    """An account, without its password.

    `isApprovedProvider`: an administrator has approved this PROVIDER account, so it may move money.
    """

    id: ObjectIdText = field(name="_id")
    email: Email
    name: Name
    type: Annotated[Role, Meta(examples=["USER"])]
    status: UserStatus
    country_code: Annotated[str, Meta(examples=["+91"])] | None = None
    mobile_number: Annotated[int, Meta(examples=[9876543210])] | None = None
    is_email_verified: bool = False
    is_mobile_number_verified: bool = False
    is_approved_provider: bool = False
    created_at: Instant | None = None
    updated_at: Instant | None = None


class ProviderStanding(Struct, rename="camel"):
    """The columns that decide whether an account can be a payee, and whether it may move money."""

    type: Role
    status: UserStatus
    is_approved_provider: bool = False
