"""`kernapay verify-email`: mark the e-mail address of an account as verified."""

import asyncio

import click

from kernapay.config.loading import load_settings
from kernapay.config.settings import Settings


@click.command()
@click.option("--email", required=True, help="E-mail address of the account.")
def command(email: str) -> None:
    """Mark the e-mail address of an account as verified: you vouch for it.

    ADMIN and LAB_ASSISTANT are only for accounts with a verified address. Use this where no e-mail can be sent,
    and only if you know that the owner of the address opened the account: whoever did keeps the password. To take
    an account over for an administrator, use create-admin --promote.
    """
    click.echo(asyncio.run(verify(load_settings(), email)))


async def verify(settings: Settings, email: str) -> str:
    """Verify the address. Return what was done, for the operator. Raises ClickException, naming the field."""
    from kernapay.bootstrap.services import open_services
    from kernapay.commands.accounts import account_error
    from kernapay.commands.operator import operator
    from kernapay.core.errors import KernaPayError

    async with open_services(settings) as services:
        try:
            user = await services.administration_service.verify_address(operator(), email)
        except KernaPayError as error:
            raise account_error(error) from error
    return f"{user.email} is verified. The account is {user.type.value} and {user.status.value}."
