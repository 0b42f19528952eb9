"""`kernapay doctor`: print what was examined, and what to do about it."""

import asyncio
import sys

import click

from kernapay.config.settings import ConfigurationError, load_settings


@click.command()
@click.option(
    "--dependencies", is_flag=True, help="Check what is installed against published advisories."
)
def command(dependencies: bool) -> None:
    """Check everything the service stands on, and say what to do; exit code 1 when something fails."""
    from kernapay.commands.doctor.dependencies import examine_dependencies
    from kernapay.commands.doctor.examination import examine
    from kernapay.commands.doctor.findings import Finding, Level
    from kernapay.core import logs

    levels = set()

    def show(finding: Finding) -> None:
        click.echo(finding)
        levels.add(finding.level)

    async def examine_all() -> None:
        logs.configure("WARNING", sys.stderr)  # the output is the findings
        async for finding in examine(load_settings()):
            show(finding)

    if dependencies:
        for finding in examine_dependencies():
            show(finding)
    else:
        try:
            asyncio.run(examine_all())
        except ConfigurationError as error:
            for line in str(error).splitlines()[1:]:
                show(Finding(Level.FAIL, "configuration", line.strip(), "correct it"))
    sys.exit(Level.FAIL in levels)
