"""`kernapay remove-second-factor`: for somebody who has lost authenticator and recovery codes."""

import asyncio

import click

from kernapay.config.loading import load_settings
from kernapay.config.settings import Settings


@click.command()
@click.option("--email", required=True, help="E-mail address of the account.")
def command(email: str) -> None:
    """Remove the second factor of an account, whose owner has lost the authenticator and the recovery codes.

    Make sure by another way than e-mail that the owner asks: from now on the password alone opens the account.
    """
    click.echo(asyncio.run(remove(load_settings(), email)))


async def remove(settings: Settings, email: str) -> str:
    """Remove it. Return what was done, for the operator. Raises ClickException, naming the field."""
    from kernapay.bootstrap.services import open_services
    from kernapay.commands.accounts import account_error
    from kernapay.commands.operator import operator
    from kernapay.core.errors import KernaPayError, NotFound

    async with open_services(settings) as services:
        try:
            user = await services.user_service.find_by_email(email)
            if user is None:
                raise NotFound("There is no account with this e-mail address.", field="email")
            await services.second_factors.remove(operator(), str(user.pk))
        except KernaPayError as error:
            raise account_error(error) from error
    return f"{user.email} has no second factor any more."
