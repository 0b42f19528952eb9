"""Accounts that are opened from the command line, not over HTTP."""

from collections.abc import Mapping

import msgspec

from kernapay.bootstrap import Services, opened
from kernapay.core.errors import Conflict, KernaPayError
from kernapay.core.problems import field_error
from kernapay.devstack.accounts import DEMO_ACCOUNTS, DEMO_PASSWORD
from kernapay.settings import Settings
from kernapay.users.dtos import SignUp
from kernapay.users.service import EmailTaken


class AccountError(Exception):
    """The account cannot be opened; the message says why."""


async def open_admin(settings: Settings, fields: Mapping[str, str], *, promote: bool) -> str:
    """Open an ADMIN account, or with `promote` take over the one with this address; a sentence that says which.

    Raises AccountError.
    """
    async with opened(settings) as services:
        try:
            admin, new = await services.administration.appoint(_sign_up(fields), promote=promote)
        except EmailTaken as error:
            raise AccountError(
                f"email: {error.detail} It may be a stranger's who signed up with it. "
                "To take it over with this password, signed out everywhere: --promote"
            ) from error
        except KernaPayError as error:
            raise AccountError(f"{error.field or error.code}: {error.detail}") from error
    if not new:
        return (
            f"{admin.email} had an account and is ADMIN now, with the password you gave; "
            "it is signed out everywhere."
        )
    return f"{admin.email} is ADMIN. Sign in at POST /v1/api/users/login."


async def open_demo_accounts(settings: Settings) -> None:
    """Open an account per role, skipping those that are there. Raises AccountError."""
    async with opened(settings) as services:
        try:
            for role, email in DEMO_ACCOUNTS.items():
                await _open_demo_account(services, role, email)
        except KernaPayError as error:
            raise AccountError(f"{error.field or error.code}: {error.detail}") from error


async def _open_demo_account(services: Services, role: str, email: str) -> None:
    fields = {
        "email": email,
        "name": f"Demo {role.replace('_', ' ').title()}",
        "password": DEMO_PASSWORD,
        "confirmPassword": DEMO_PASSWORD,
        "mobileNumber": "9876543210",
        "countryCode": "+91",
        "type": role,
    }
    try:
        await services.accounts.open_account(_sign_up(fields))
    except Conflict:
        return  # it is there from an earlier start


def _sign_up(fields: Mapping[str, str]) -> SignUp:
    try:
        return msgspec.convert(fields, SignUp)
    except msgspec.ValidationError as error:
        problem = field_error(str(error))
        raise AccountError(f"{problem.field}: {problem.message}") from error
