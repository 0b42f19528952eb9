"""E-mail addresses and phone numbers in the one form they are stored in."""

import phonenumbers
from disposable_email_domains import blocklist
from email_validator import EmailNotValidError, validate_email

from kernapay.core.errors import InvalidInput


def normalise_email(text: str, *, production: bool) -> str:
    """Give the address in the form that is unique per mailbox. Raises InvalidInput, naming `email`."""
    try:
        address = validate_email(
            text.strip(), check_deliverability=False, test_environment=not production
        )
    except EmailNotValidError as error:
        raise InvalidInput(str(error), field="email") from error
    domain = address.ascii_domain.lower()
    labels = domain.split(".")
    if any(".".join(labels[start:]) in blocklist for start in range(len(labels) - 1)):
        raise InvalidInput("Disposable e-mail addresses are not accepted.", field="email")
    return address.normalized.lower()


def check_phone(country_code: str, number: int | str) -> int:
    """Give the national number. Raises InvalidInput, naming `mobileNumber`."""
    try:
        parsed = phonenumbers.parse(f"{country_code}{number}", None)
    except phonenumbers.NumberParseException as error:
        raise InvalidInput("This is not a phone number.", field="mobileNumber") from error
    if not phonenumbers.is_valid_number(parsed):
        raise InvalidInput(
            f"This is not a valid phone number in {country_code}.", field="mobileNumber"
        )
    return int(number)
