"""Accounts that commands open. Their fields are checked as in a sign-up over HTTP."""

from collections.abc import Mapping

import click
import msgspec

from kernapay.core.errors import KernaPayError
from kernapay.users.dtos import Account
from kernapay.web.field_errors import field_error


def account_of(fields: Mapping[str, str]) -> Account:
    """Return the checked fields, which are named as in the API. Raises ClickException, naming the field."""
    try:
        return msgspec.convert(fields, Account)
    except msgspec.ValidationError as error:
        wrong = field_error(str(error), Account)
        raise click.ClickException(f"{wrong.field}: {wrong.message}") from error


def account_error(error: KernaPayError) -> click.ClickException:
    return click.ClickException(f"{error.field or error.code}: {error.detail}")
