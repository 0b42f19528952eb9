"""The command line `kernapay`. Each command is a module of this package."""

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Final, NamedTuple

import click

from kernapay.config.loading import ConfigurationError
from kernapay.core.build import version
from kernapay.core.errors import NotMigrated, Unavailable


class _Entry(NamedTuple):
    module: str
    """It defines `command`."""
    example: str
    """What somebody may type after the command's name."""


_GROUPS: Final[Mapping[str, Mapping[str, _Entry]]] = {
    "On this machine": {
        "dev": _Entry("dev", ""),
        "demo": _Entry("demo", ""),
        "sandbox": _Entry("sandbox", "--data books.sqlite"),
        "listen": _Entry("listen", "--forward-to http://localhost:8000/hook"),
        "trigger": _Entry("trigger", "payment.succeeded"),
        "seed": _Entry("seed", ""),
        "openapi": _Entry("openapi", "--output openapi.json"),
    },
    "Run the service": {
        "migrate": _Entry("migrate", "up"),
        "serve": _Entry("serve", "--workers 2"),
        "worker": _Entry("worker", ""),
        "doctor": _Entry("doctor.command", ""),
        "import": _Entry("importing", "express --dry-run"),
    },
    "Money": {
        "audit": _Entry("audit", "--from 2026-04-01 --to 2026-05-01"),
        "reconcile": _Entry("reconcile", "--since 2026-04-01T02:00:00"),
        "repair": _Entry("repair", "66b1f0c2a7d4e5f601234567 --dry-run"),
        "inbox": _Entry("inbox", "replay --status parked"),
    },
    "Accounts": {
        "create-admin": _Entry("create_admin", "--email asha@example.com"),
        "verify-email": _Entry("verify_email", "--email asha@example.com"),
        "remove-second-factor": _Entry("remove_second_factor", "--email asha@example.com"),
    },
}
_WHOLE_SENTENCE: Final = 200
_ENTRIES: Final = {name: entry for group in _GROUPS.values() for name, entry in group.items()}


class _Commands(click.Group):
    """Import only the command that runs: commands start faster without the imports of others."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_ENTRIES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = _ENTRIES.get(cmd_name)
        if entry is None:
            return None
        command: click.Command = import_module(f"kernapay.commands.{entry.module}").command
        command.epilog = f"Example: kernapay {cmd_name} {entry.example}".rstrip()
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, _ENTRIES))
        for title, group in _GROUPS.items():
            commands = [(name, self.get_command(ctx, name)) for name in group]
            with formatter.section(title):
                formatter.write_dl(
                    [
                        (name.ljust(width), each.get_short_help_str(_WHOLE_SENTENCE))
                        for name, each in commands
                        if each
                    ]
                )


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version(), prog_name="kernapay")
def cli() -> None:
    """KernaPay: payments through Razorpay that are never lost, doubled or misreported.

    New here? `kernapay dev` starts everything on this machine, and `kernapay demo` makes a payment.
    The guide is at /guide of a running service.
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
