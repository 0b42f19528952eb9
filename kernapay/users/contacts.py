"""Validate e-mail addresses and phone numbers, and bring them into the form in which they are stored."""

from typing import NamedTuple

import phonenumbers
from disposable_email_domains import blocklist
from email_validator import EmailNotValidError, ValidatedEmail, validate_email

from kernapay.core.errors import InvalidInput
from kernapay.core.text import map_width
from kernapay.users.confusables import looks_like_another


class Phone(NamedTuple):
    """A country calling code such as `+91`, and the national number."""

    country_code: str
    number: int


class EmailForms(NamedTuple):
    """The forms in which an account may store an address.

    `former` is that of accounts from before full-width letters were mapped. Usually both are the same.
    """

    normal: str
    former: str


def email_forms(text: str, *, production: bool) -> EmailForms:
    """Return the forms of an address, the same for all its spellings. Raises InvalidInput for `email`."""
    normal = normalise_email(text, production=production)
    if text.isascii():
        return EmailForms(normal, normal)
    try:
        return EmailForms(normal, _validate(text, production).normalized.lower())
    except InvalidInput:
        return EmailForms(normal, normal)  # no account was opened with it


def find_email_forms(text: str, *, production: bool) -> EmailForms | None:
    """Return the forms of an address, or None if it is not valid, so that no account can have it."""
    try:
        return email_forms(text, production=production)
    except InvalidInput:
        return None


def normalise_email(text: str, *, production: bool) -> str:
    """Return the normal form of an address, the same for all its spellings. Raises InvalidInput for `email`."""
    address = _validate(map_width(text), production)
    try:
        local_part = _fold_local_part(address.local_part)
    except UnicodeEncodeError:
        # An account from before these were refused may have it.
        local_part = address.local_part.lower()
    return f"{local_part}@{address.domain.lower()}"


def normalise_new_email(text: str, *, production: bool) -> str:
    """Return the normal form of a new account's address.

    Raises InvalidInput for `email`, also if it is disposable or looks like another address.
    """
    address = _validate(map_width(text), production)
    try:
        local_part = _fold_local_part(address.local_part)
    except UnicodeEncodeError as error:
        raise InvalidInput(
            "Must have only letters, digits and punctuation before the @.", field="email"
        ) from error
    if looks_like_another(local_part):
        raise InvalidInput(
            "Must not look like another address: use letters of one script before the @.",
            field="email",
        )
    labels = address.ascii_domain.lower().split(".")
    if any(".".join(labels[start:]) in blocklist for start in range(len(labels) - 1)):
        raise InvalidInput(
            "Disposable e-mail addresses are not accepted. Use a permanent one.", field="email"
        )
    return f"{local_part}@{address.domain.lower()}"


def check_phone(country_code: str, number: int | str) -> Phone:
    """Return the number in the form in which it is stored. Raises InvalidInput for `mobileNumber`."""
    if _parse(country_code, number) is None:
        raise InvalidInput(f"Must be a valid phone number of {country_code}.", field="mobileNumber")
    return Phone(country_code, int(number))


def normalise_contact(text: str) -> str | None:
    """Return a number that begins with `+` in international form (ITU-T E.164), or None if it is not valid."""
    try:
        parsed = phonenumbers.parse(text, None)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(parsed):
        return None
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)


def to_e164(country_code: str, number: int | str) -> str | None:
    """Return the number in international form (ITU-T E.164), such as `+919876543210`, or None if it is not valid."""
    parsed = _parse(country_code, number)
    if parsed is None:
        return None
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)


def _validate(text: str, production: bool) -> ValidatedEmail:
    try:
        return validate_email(
            text.strip(), check_deliverability=False, test_environment=not production
        )
    except EmailNotValidError as error:
        raise InvalidInput(str(error), field="email") from error


def _fold_local_part(local_part: str) -> str:
    """Return it without regard to case (RFC 8265). Raises UnicodeEncodeError for symbols, mixed directions and such."""
    if local_part.isascii():
        return local_part.lower()
    from precis_i18n import get_profile  # here: hardly any address needs it

    # i and a dot above it look like i alone. Lower case makes it of the Turkish capital.
    folded: str = get_profile("UsernameCaseMapped").enforce(local_part)
    return folded.replace("i\u0307", "i")


def _parse(country_code: str, number: int | str) -> phonenumbers.PhoneNumber | None:
    # Some countries have national numbers that start with a zero. An integer cannot carry it.
    for zero in ("", "0"):
        try:
            parsed = phonenumbers.parse(f"{country_code}{zero}{number}", None)
        except phonenumbers.NumberParseException:
            continue
        # The parser may find another country code than the one sent. For `+1242` that is right: the Bahamas belong
        # to +1. Elsewhere it has taken digits of the number for the code.
        is_same_code = parsed.country_code == 1 or f"+{parsed.country_code}" == country_code
        if is_same_code and phonenumbers.is_valid_number(parsed):
            return parsed
    return None
