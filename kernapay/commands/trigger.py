"""`kernapay trigger`: make an event on a running stack."""

from pathlib import Path

import click
import httpx

from kernapay.commands.options import running_stack
from kernapay.devstack.demo_session import CannotSignIn, signed_in
from kernapay.devstack.state import NoStack, find_stack
from kernapay.devstack.trigger import Trigger, TriggerFailed


@click.command()
@click.argument("event_type", metavar="[TYPE]", required=False)
@running_stack
def command(event_type: str | None, data: Path) -> None:
    """Let an event of a TYPE such as payment.succeeded happen, in the sandbox.

    A demo customer buys something, and what else is needed happens to it. `kernapay listen` shows the event, and
    those that come before it. Without a TYPE, the command names those that it knows.
    """
    try:
        stack = find_stack(data)
    except NoStack as error:
        raise click.ClickException(str(error)) from error
    if stack.sandbox is None:
        raise click.ClickException(
            "This stack uses the real Razorpay, where only a customer can pay."
        )
    try:
        with (
            signed_in(stack.api, data, "USER") as customer,
            signed_in(stack.api, data, "ADMIN") as administrator,
            httpx.Client(base_url=stack.sandbox, timeout=30, trust_env=False) as sandbox,
        ):
            plays = Trigger(customer, administrator, sandbox).plays
            if event_type is None or event_type not in plays:
                raise click.UsageError(f"TYPE must be one of: {', '.join(plays)}.")
            click.echo(f"{event_type} happened to {plays[event_type]()}")
    except (CannotSignIn, TriggerFailed) as error:
        raise click.ClickException(str(error)) from error
    except httpx.HTTPError as error:
        raise click.ClickException(f"The stack does not answer: {type(error).__name__}.") from error
