"""`kernapay demo`: make one payment on a running stack."""

import sys
from pathlib import Path

import click
import httpx
from rich.console import Console

from kernapay.commands.options import running_stack
from kernapay.devstack.demo import Demo
from kernapay.devstack.state import NoStack, find_stack


@click.command()
@running_stack
@click.option("--api", help="URL of another API, without the stack; needs --sandbox.")
@click.option("--sandbox", help="URL of the sandbox that the other API uses.")
def command(data: Path, api: str | None, sandbox: str | None) -> None:
    """Make one payment, from sign-up to webhook, and check every step.

    The exit code is 0 if every step succeeded, 1 otherwise.
    """
    console = Console(highlight=False)
    if api is None or sandbox is None:
        try:
            stack = find_stack(data)
        except NoStack as error:
            raise click.ClickException(str(error)) from error
        api, sandbox = api or stack.api, sandbox or stack.sandbox
    if sandbox is None:
        raise click.ClickException(
            "This stack uses the real Razorpay, where only a customer can pay. Fix: unset RAZORPAY_KEY_ID "
            "and RAZORPAY_KEY_SECRET, and start the stack again: it then runs the sandbox."
        )
    # Both run on this machine: ignore a proxy in the environment.
    with (
        httpx.Client(base_url=api, timeout=30, trust_env=False) as service,
        httpx.Client(base_url=sandbox, timeout=30, trust_env=False) as gateway,
    ):
        sys.exit(0 if Demo(service, gateway, console).run() else 1)
