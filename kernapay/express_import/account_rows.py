"""Read account rows of the Express service, and turn each into an account to import."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from kernapay.core.errors import InvalidInput
from kernapay.core.text import folded, normalise_name
from kernapay.express_import.row_values import (
    CannotMove,
    Row,
    hash_of,
    number_of,
    text_of,
    time_of,
    unescape,
)
from kernapay.security.passwords import is_express_hash
from kernapay.security.principal import Role
from kernapay.users.contacts import Phone, check_phone, normalise_email
from kernapay.users.models import User, UserStatus

_ROLES: Final = {"USER": Role.USER, "DOCTOR": Role.PROVIDER}
_UNNAMED: Final = "Unnamed"
_BCRYPT_LENGTH: Final = 60
# Every sign-in at the Express service changes other values of the row.
_IMPORTED_AGAIN: Final = ("name", "mobileNumber", "countryCode", "password")


@dataclass(slots=True)
class OldUser:
    """An account to import. `odd` says which values were unusual, and how each was read."""

    user: User
    odd: list[str] = field(default_factory=list)


def email_of(row: Row, *, production: bool) -> str | None:
    """Return the normalised e-mail address of an account, None if it is not valid."""
    try:
        return normalise_email(text_of(row, "email") or "", production=production)
    except InvalidInput:
        return None


def seen_of(row: Row) -> str:
    """Return a hash of the values that are imported again when they change."""
    return hash_of(*(row.get(each) for each in _IMPORTED_AGAIN))


def read_user(row: Row, email: str, at: datetime) -> OldUser:
    """Read an account, which gets this address. `at` is the present time. Raises CannotMove."""
    odd: list[str] = []
    password = text_of(row, "password")
    if not is_express_hash(password) or len(password or "") != _BCRYPT_LENGTH:
        raise CannotMove("its password is no bcrypt hash")
    phone = _phone_of(row, odd)
    name = _name_of(row, odd)
    created_at, _ = time_of(row, at)
    user = User(
        id=row["_id"],
        email=email,
        name=name,
        name_folded=folded(name),
        password=password,
        mobile_number=phone and phone.number,
        country_code=phone and phone.country_code,
        type=_role_of(row, odd),
        status=_status_of(row, odd),
        # The owners had said so themselves.
        is_email_verified=False,
        is_mobile_number_verified=False,
        former_seen=seen_of(row),
        created_at=created_at,
    )
    if row.get("isEmailVerified") or row.get("isMobileNumberVerified"):
        odd.append("said to be verified by its owner: verified again here")
    return OldUser(user, odd)


def _name_of(row: Row, odd: list[str]) -> str:
    text = text_of(row, "name") or ""
    if "&lt;" in text:
        odd.append("&lt; in the name: < again")
    visible = "".join(each for each in unescape(text) if each.isprintable())
    try:
        return normalise_name(visible)
    except InvalidInput:
        odd.append(f"without a visible name: {_UNNAMED}")
        return _UNNAMED


def _phone_of(row: Row, odd: list[str]) -> Phone | None:
    number = number_of(row.get("mobileNumber"))
    code = text_of(row, "countryCode") or ""
    if number is None or number != number.to_integral_value() or number <= 0:
        odd.append("without a mobile number")
        return None
    if isinstance(row["mobileNumber"], float):
        odd.append("mobile number as a double: an integer")
    code = code if code.startswith("+") else f"+{code}"
    try:
        return check_phone(code, int(number))
    except InvalidInput:
        odd.append("mobile number of no country: left out")
        return None


def _role_of(row: Row, odd: list[str]) -> Role:
    role = _ROLES.get(row.get("type") if isinstance(row.get("type"), str) else "")  # type: ignore[arg-type]
    if role is None:
        # Never a right by import: an operator appoints.
        odd.append("of another type than USER and DOCTOR: USER, until an administrator changes it")
        return Role.USER
    if role is Role.PROVIDER:
        odd.append("DOCTOR: PROVIDER, to be approved by an administrator")
    return role


def _status_of(row: Row, odd: list[str]) -> UserStatus:
    if row.get("status") != UserStatus.INACTIVE.value:
        return UserStatus.ACTIVE
    odd.append("INACTIVE, which the earlier service did not enforce: cannot sign in here")
    return UserStatus.INACTIVE
