"""E-mail addresses and phone numbers in the one form they are stored in."""

from typing import NamedTuple

import phonenumbers
from disposable_email_domains import blocklist
from email_validator import EmailNotValidError, ValidatedEmail, validate_email

from kernapay.core.errors import InvalidInput


class Phone(NamedTuple):
    """A calling code such as `+91`, and the national number."""

    country_code: str
    number: int


def normalise_email(text: str, *, production: bool) -> str:
    """Give the address in the form that is unique per mailbox. Raises InvalidInput, naming `email`."""
    return _validated(text, production).normalized.lower()


def new_email(text: str, *, production: bool) -> str:
    """Normalise the address of an account that is to be opened: not a disposable one. Raises InvalidInput."""
    address = _validated(text, production)
    labels = address.ascii_domain.lower().split(".")
    if any(".".join(labels[start:]) in blocklist for start in range(len(labels) - 1)):
        raise InvalidInput("Disposable e-mail addresses are not accepted.", field="email")
    return address.normalized.lower()


def check_phone(country_code: str, number: int | str) -> Phone:
    """Return the number in the form it is stored in. Raises InvalidInput, naming `mobileNumber`."""
    if _parsed(country_code, number) is None:
        raise InvalidInput(
            f"This is not a valid phone number in {country_code}.", field="mobileNumber"
        )
    return Phone(country_code, int(number))


def international(country_code: str, number: int | str) -> str | None:
    """Give the number as the world dials it (E.164); None when it is not valid."""
    parsed = _parsed(country_code, number)
    if parsed is None:
        return None
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)


def _validated(text: str, production: bool) -> ValidatedEmail:
    try:
        return validate_email(
            text.strip(), check_deliverability=False, test_environment=not production
        )
    except EmailNotValidError as error:
        raise InvalidInput(str(error), field="email") from error


def _parsed(country_code: str, number: int | str) -> phonenumbers.PhoneNumber | None:
    # In some countries a zero at the beginning belongs to the number, and an integer has lost it.
    for zero in ("", "0"):
        try:
            parsed = phonenumbers.parse(f"{country_code}{zero}{number}", None)
        except phonenumbers.NumberParseException:
            continue
        # `+1242` is how people write a part of the +1 countries; elsewhere a longer code has eaten digits.
        own_code = parsed.country_code == 1 or f"+{parsed.country_code}" == country_code
        if own_code and phonenumbers.is_valid_number(parsed):
            return parsed
    return None
