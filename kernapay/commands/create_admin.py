"""`kernapay create-admin`: create an administrator."""

import asyncio
from collections.abc import Mapping

import click

from kernapay.config.loading import load_settings
from kernapay.config.settings import Settings


@click.command()
@click.option("--email", required=True, help="E-mail address to sign in with.")
@click.option("--name", default="Administrator", show_default=True, help="Name of the person.")
@click.option(
    "--password",
    envvar="KERNAPAY_ADMIN_PASSWORD",
    prompt=True,
    hide_input=True,
    confirmation_prompt=True,
    help="Password to sign in with. Default: KERNAPAY_ADMIN_PASSWORD, or the command prompts for it.",
)
@click.option(
    "--mobile-number",
    help="Mobile number without the country code, 4 to 15 digits. Default: the account has none.",
)
@click.option("--country-code", help="Country calling code, such as +91. Needs --mobile-number.")
@click.option(
    "--promote",
    is_flag=True,
    help="If an account with this address exists, make it ADMIN, replace its password, sign it out everywhere and "
    "end its API keys.",
)
def command(
    email: str,
    name: str,
    password: str,
    mobile_number: str | None,
    country_code: str | None,
    promote: bool,
) -> None:
    """Create an account with the role ADMIN. Its e-mail address counts as verified: you vouch for it.

    If an account with this address exists, the command refuses it unless you use --promote.
    """
    fields = {
        "email": email,
        "name": name,
        "password": password,
        "confirmPassword": password,
        "type": "ADMIN",
    }
    if mobile_number is not None:
        fields["mobileNumber"] = mobile_number
    if country_code is not None:
        fields["countryCode"] = country_code
    click.echo(asyncio.run(open_admin(load_settings(), fields, promote=promote)))


async def open_admin(settings: Settings, fields: Mapping[str, str], *, promote: bool) -> str:
    """Create an ADMIN account, or with `promote` change the existing one. Return what was done, for the operator.

    Raises ClickException, naming the field.
    """
    from kernapay.bootstrap.services import open_services
    from kernapay.commands.accounts import account_error, account_of
    from kernapay.commands.operator import operator
    from kernapay.core.errors import KernaPayError
    from kernapay.users.service import EmailTaken

    async with open_services(settings) as services:
        try:
            admin, is_new = await services.administration_service.appoint(
                operator(), account_of(fields), promote=promote
            )
        except EmailTaken as error:
            raise click.ClickException(
                f"email: {error.detail} Somebody else may have signed up with this address. To make that account "
                "ADMIN, replace its password and sign it out everywhere, repeat the command with --promote."
            ) from error
        except KernaPayError as error:
            raise account_error(error) from error
    if not is_new:
        return f"{admin.email} is ADMIN now. Its password was replaced, and it was signed out everywhere."
    return f"{admin.email} is ADMIN. Sign in at POST /v1/api/users/login."
