"""`kernapay seed`: create the accounts of a development stack."""

import asyncio
import secrets
from datetime import datetime, timedelta
from time import monotonic
from typing import TYPE_CHECKING, Final

import click

from kernapay.config.loading import load_settings
from kernapay.config.settings import Settings
from kernapay.core.clock import Clock, now
from kernapay.devstack.accounts import DEMO_ACCOUNTS, DEMO_PASSWORD, PUBLIC_PASSWORD

if TYPE_CHECKING:
    from kernapay.bootstrap.services import Services

_SHOW_SECONDS: Final = 0.5
# The accounts are older than the first day of the example data.
_BEFORE_EXAMPLES: Final = timedelta(days=15)


@click.command()
@click.option(
    "--password",
    envvar=DEMO_PASSWORD,
    show_envvar=True,
    help="Password of the accounts. Default: a new one, which is printed.",
)
@click.option(
    "--example-payments",
    "count",
    type=click.IntRange(1, 5000),
    hidden=True,
    help="Also make this many payments of the last two weeks, as `kernapay dev --example-data` does.",
)
def command(password: str | None, count: int | None) -> None:
    """Create a demo account for each role, for development only. The provider is approved."""
    settings = load_settings()
    if settings.is_production:
        raise click.ClickException(
            "Demo accounts share one password, so they are not created in production. "
            "Fix: kernapay create-admin --email …"
        )
    new_password = password or secrets.token_hex(12)
    # Whoever acts in the example data was there before.
    since = now if count is None else _two_weeks_ago
    opened = asyncio.run(open_demo_accounts(settings, new_password, since))
    if not opened:
        click.echo("The demo accounts exist already. Their passwords were not changed.")
    elif password is not None:
        # Without the addresses: `kernapay dev` keeps this output in a log.
        click.echo(f"{len(opened)} accounts have the password of {DEMO_PASSWORD}.")
    else:
        for email in opened:
            click.echo(email)
        click.echo(f"Sign in with this password, which is shown only now: {new_password}")
    if count is not None:
        click.echo(asyncio.run(add_example_data(settings, count)))


def _two_weeks_ago() -> datetime:
    return now() - _BEFORE_EXAMPLES


async def add_example_data(settings: Settings, count: int) -> str:
    """Make example data in an empty system, and return what was done. Neither an API nor a worker may run."""
    from kernapay.bootstrap.services import open_services
    from kernapay.commands.example_data.builder import make_example_data

    if settings.mailbox_url is None or settings.mailbox_url != settings.razorpay_base_url:
        raise click.ClickException("Example data needs the sandbox in place of Razorpay.")
    async with open_services(settings) as services:
        if await services.payment_repository.first_created_at() is not None:
            return "There are payments already, so no example data was added."
    shown = [0.0]

    def show(at: datetime) -> None:
        if monotonic() - shown[0] > _SHOW_SECONDS:
            shown[0] = monotonic()
            click.echo(f"example data of {at.astimezone(settings.business_timezone):%A, %H:%M}")

    await make_example_data(settings, count, show)
    return f"{count} payments of the last two weeks were made as example data."


async def open_demo_accounts(settings: Settings, password: str, clock: Clock = now) -> list[str]:
    """Create an account per role, and return the addresses of the accounts with the given password.

    An existing account keeps its password, unless that is the public one of earlier versions. Raises ClickException.
    """
    from kernapay.bootstrap.services import open_services
    from kernapay.commands.accounts import account_error, account_of
    from kernapay.commands.operator import operator
    from kernapay.core.errors import KernaPayError
    from kernapay.security.principal import STAFF, Role
    from kernapay.users.service import EmailTaken

    opened = []
    async with open_services(settings, clock=clock) as services:
        administration = services.administration_service
        for role, email in DEMO_ACCOUNTS.items():
            fields = {
                "email": email,
                "name": f"Demo {role.replace('_', ' ').title()}",
                "password": password,
                "confirmPassword": password,
                "mobileNumber": "9876543210",
                "countryCode": "+91",
                "type": role,
            }
            try:
                await administration.appoint(operator(), account_of(fields), promote=False)
            except EmailTaken:
                # An earlier start created it, and an earlier version did not verify its address.
                if role in STAFF:
                    await administration.verify_address(operator(), email)
                is_ours = await _replace_public_password(services, email, password)
            except KernaPayError as error:
                raise account_error(error) from error
            else:
                is_ours = True
            if role == Role.PROVIDER:
                # Also one that exists: an earlier start may have ended before this.
                await _approve(services, email)
            if is_ours:
                opened.append(email)
    return opened


async def _approve(services: "Services", email: str) -> None:
    from kernapay.commands.operator import operator

    user = await services.user_service.find_by_email(email)
    if user is not None:
        administration = services.administration_service
        await administration.set_approval(operator(), str(user.pk), approved=True)


async def _replace_public_password(services: "Services", email: str, password: str) -> bool:
    user = await services.user_service.find_by_email(email)
    if user is None:
        return False
    is_public, _ = await services.password_hasher.verify(PUBLIC_PASSWORD, user.password)
    if is_public:
        await services.session_service.replace_password(user, password)
    return is_public
