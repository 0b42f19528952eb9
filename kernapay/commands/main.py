"""The command line `kernapay`. Each command is a module of this package."""

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Final

import click

from kernapay import __version__
from kernapay.config.loading import ConfigurationError
from kernapay.core.errors import NotMigrated, Unavailable

# The module of each command. It defines `command`.
_MODULES: Final = {
    "audit": "audit",
    "create-admin": "create_admin",
    "demo": "demo",
    "dev": "dev",
    "doctor": "doctor.command",
    "inbox": "inbox",
    "listen": "listen",
    "migrate": "migrate",
    "openapi": "openapi",
    "reconcile": "reconcile",
    "remove-second-factor": "remove_second_factor",
    "repair": "repair",
    "sandbox": "sandbox",
    "seed": "seed",
    "serve": "serve",
    "trigger": "trigger",
    "verify-email": "verify_email",
    "worker": "worker",
}


class _Commands(click.Group):
    """Import only the command that runs: commands start faster without the imports of others."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _MODULES:
            return None
        command: click.Command = import_module(f"kernapay.commands.{_MODULES[cmd_name]}").command
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def cli() -> None:
    """KernaPay: payments through Razorpay that are never lost, doubled or misreported.

    New here? `kernapay dev` starts everything on this machine, and `kernapay demo` makes a payment.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command. The arguments are those of the process by default."""
    try:
        cli(arguments)
    except ConfigurationError as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    except NotMigrated as error:
        click.echo(f"Error: {error.detail}", err=True)
        sys.exit(2)
    except Unavailable as error:
        click.echo(f"Error: {error.detail}", err=True)
        sys.exit(1)
