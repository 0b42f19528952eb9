"""`kernapay doctor`: print each finding, with what to do about it."""

import asyncio
import sys

import click

from kernapay.config.flaws import Flaw
from kernapay.config.loading import ENV_FILE, ConfigurationError, load_settings


@click.command()
@click.option(
    "--dependencies",
    is_flag=True,
    help="Check only the installed Python packages, for known vulnerabilities (needs the network).",
)
def command(dependencies: bool) -> None:
    """Check the configuration, the databases, the gateway and the providers.

    Nothing is changed. Each problem is printed with an instruction to fix it. The exit code is 1 if a check fails.
    """
    from kernapay.commands.doctor.dependencies import examine_dependencies
    from kernapay.commands.doctor.examination import examine
    from kernapay.commands.doctor.findings import Finding, Level
    from kernapay.core import logs

    levels = set()

    def show(finding: Finding) -> None:
        click.echo(finding)
        levels.add(finding.level)

    async def examine_all() -> None:
        logs.configure("WARNING", sys.stderr)  # keep standard output for the findings
        async for finding in examine(load_settings()):
            show(finding)

    if dependencies:
        for finding in examine_dependencies():
            show(finding)
    else:
        try:
            asyncio.run(examine_all())
        except ConfigurationError as error:
            for flaw in error.flaws:
                show(
                    Finding(
                        Level.FAIL, "configuration", f"{flaw.variable}: {flaw.text}", _fix(flaw)
                    )
                )
    sys.exit(Level.FAIL in levels)


def _fix(flaw: Flaw) -> str:
    return flaw.fix or f"set {flaw.variable} in the environment or in {ENV_FILE}."
