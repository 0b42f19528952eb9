"""`kernapay seed`: the accounts of a development stack."""

import asyncio

import click

from kernapay.config.settings import Settings, load_settings
from kernapay.devstack.accounts import DEMO_ACCOUNTS, DEMO_PASSWORD


@click.command()
def command() -> None:
    """Open one demo account per role; for development only."""
    settings = load_settings()
    if settings.production:
        raise click.ClickException("Demo accounts have known passwords: not in production.")
    asyncio.run(open_demo_accounts(settings))


async def open_demo_accounts(settings: Settings) -> None:
    """Open an account per role, skipping those that are there. Raises ClickException."""
    from kernapay.bootstrap.services import opened
    from kernapay.commands.sign_up import account_error, sign_up_of
    from kernapay.core.errors import Conflict, KernaPayError

    async with opened(settings) as services:
        for role, email in DEMO_ACCOUNTS.items():
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
                await services.user_service.open_account(sign_up_of(fields))
            except Conflict:
                continue  # it is there from an earlier start
            except KernaPayError as error:
                raise account_error(error) from error
