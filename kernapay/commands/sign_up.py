"""Accounts that the command line opens: the fields of a sign-up, checked as over HTTP."""

from collections.abc import Mapping

import click
import msgspec

from kernapay.core.errors import KernaPayError
from kernapay.users.dtos import SignUp
from kernapay.web.problems import field_error


def sign_up_of(fields: Mapping[str, str]) -> SignUp:
    """Check the fields, named as in the API. Raises ClickException, naming the field."""
    try:
        return msgspec.convert(fields, SignUp)
    except msgspec.ValidationError as error:
        problem = field_error(str(error))
        raise click.ClickException(f"{problem.field}: {problem.message}") from error


def account_error(error: KernaPayError) -> click.ClickException:
    return click.ClickException(f"{error.field or error.code}: {error.detail}")
