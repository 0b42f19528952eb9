"""Check and normalise what shops write about customers."""

from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import UNSET

from kernapay.core.errors import InvalidInput
from kernapay.core.text import normalise_name
from kernapay.customers.dtos import AddressGiven, CustomerChange, CustomerGiven
from kernapay.customers.gstin import normalise_gstin
from kernapay.customers.models import Address
from kernapay.users.contacts import normalise_contact, normalise_email

FIELDS: Final = CustomerGiven.__struct_fields__
NOTHING: Final = f"Must have at least one of: {', '.join(FIELDS)}."


def read_fields(
    data: CustomerGiven | CustomerChange, *, production: bool, prefix: str = ""
) -> dict[str, Any]:
    """Return the fields that are given, in their stored form; None for those that are null.

    Raises InvalidInput, naming the field behind the prefix.
    """
    given = {name: getattr(data, name) for name in FIELDS}
    return {
        name: None if value is None else _read(name, value, production, f"{prefix}{name}")
        for name, value in given.items()
        if value is not UNSET
    }


def _read(name: str, value: Any, production: bool, field: str) -> Any:
    if name == "email":
        return _of_field(lambda: normalise_email(value, production=production), field)
    if name == "name":
        return normalise_name(value, field)
    if name == "contact":
        return _valid(normalise_contact(value), "a valid phone number with its country code", field)
    if name == "gstin":
        return _valid(normalise_gstin(value), "a GSTIN with the right check character", field)
    if name == "address":
        return _read_address(value)
    return value


def _read_address(given: AddressGiven) -> Address | None:
    """Return the address, None if nothing is in it."""
    lines = {name: (line or "").strip() for name, line in msgspec.structs.asdict(given).items()}
    filled = {name: line for name, line in lines.items() if line}
    return Address(**filled) if filled else None


def _valid(text: str | None, what: str, field: str) -> str:
    if text is None:
        raise InvalidInput(f"Must be {what}.", field=field)
    return text


def _of_field(read: Callable[[], str], field: str) -> str:
    try:
        return read()
    except InvalidInput as error:
        raise InvalidInput(error.detail, field=field) from error
