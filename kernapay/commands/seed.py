"""`kernapay seed`: create the accounts of a development stack."""

import asyncio

import click

from kernapay.config.loading import load_settings
from kernapay.config.settings import Settings
from kernapay.devstack.accounts import DEMO_ACCOUNTS, DEMO_PASSWORD


@click.command()
def command() -> None:
    """Create a demo account for each role, for development only."""
    settings = load_settings()
    if settings.is_production:
        raise click.ClickException(
            "Demo accounts have a public password, so they are not created in production. "
            "Fix: kernapay create-admin --email …"
        )
    asyncio.run(open_demo_accounts(settings))


async def open_demo_accounts(settings: Settings) -> None:
    """Create an account per role, except those that exist. Raises ClickException."""
    from kernapay.bootstrap.services import open_services
    from kernapay.commands.accounts import account_error, account_of
    from kernapay.commands.operator import operator
    from kernapay.core.errors import KernaPayError
    from kernapay.security.principal import STAFF
    from kernapay.users.service import EmailTaken

    async with open_services(settings) as services:
        administration = services.administration_service
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
                await administration.appoint(operator(), account_of(fields), promote=False)
            except EmailTaken:
                # An earlier start created it, and an earlier version did not verify its address.
                if role in STAFF:
                    await administration.verify_address(operator(), email)
            except KernaPayError as error:
                raise account_error(error) from error
