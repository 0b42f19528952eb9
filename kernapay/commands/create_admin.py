"""`kernapay create-admin`: the first administrator, or one more."""

import asyncio
from collections.abc import Mapping

import click

from kernapay.config.settings import Settings, load_settings


@click.command()
@click.option("--email", required=True)
@click.option("--name", default="Administrator", show_default=True)
@click.option(
    "--password",
    envvar="KERNAPAY_ADMIN_PASSWORD",
    prompt=True,
    hide_input=True,
    confirmation_prompt=True,
    help="Asked for when neither this nor KERNAPAY_ADMIN_PASSWORD is given.",
)
@click.option("--mobile-number", default="9876543210", show_default=True)
@click.option("--country-code", default="+91", show_default=True)
@click.option(
    "--promote",
    is_flag=True,
    help="Take over an account that is there: it becomes ADMIN, gets this password, and is signed out everywhere.",
)
def command(
    email: str, name: str, password: str, mobile_number: str, country_code: str, promote: bool
) -> None:
    """Open an ADMIN account. An account that is there is refused, unless you --promote it."""
    fields = {
        "email": email,
        "name": name,
        "password": password,
        "confirmPassword": password,
        "mobileNumber": mobile_number,
        "countryCode": country_code,
        "type": "ADMIN",
    }
    click.echo(asyncio.run(open_admin(load_settings(), fields, promote=promote)))


async def open_admin(settings: Settings, fields: Mapping[str, str], *, promote: bool) -> str:
    """Open an ADMIN account, or with `promote` take over the one with this address; return what was done.

    Raises ClickException, naming the field.
    """
    from kernapay.bootstrap.services import opened
    from kernapay.commands.sign_up import account_error, sign_up_of
    from kernapay.core.errors import KernaPayError
    from kernapay.users.service import EmailTaken

    async with opened(settings) as services:
        try:
            admin, new = await services.administration_service.appoint(
                sign_up_of(fields), promote=promote
            )
        except EmailTaken as error:
            raise click.ClickException(
                f"email: {error.detail} It may be a stranger's who signed up with it. "
                "To take it over with this password, signed out everywhere: --promote"
            ) from error
        except KernaPayError as error:
            raise account_error(error) from error
    if not new:
        return (
            f"{admin.email} had an account and is ADMIN now, with the password you gave; "
            "it is signed out everywhere."
        )
    return f"{admin.email} is ADMIN. Sign in at POST /v1/api/users/login."
