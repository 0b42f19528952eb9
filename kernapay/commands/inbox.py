"""`kernapay inbox`: list and replay webhook events."""

import asyncio
from typing import TYPE_CHECKING

import click

from kernapay.commands.output import exit_2_on_error
from kernapay.config.loading import load_settings
from kernapay.config.settings import Settings
from kernapay.core.text import show_controls

if TYPE_CHECKING:
    from kernapay.webhooks.dtos import WebhookEventView
    from kernapay.webhooks.models import EventStatus

_LISTED = 100


@click.group()
def command() -> None:
    """List the stored webhook events, and replay them."""


@command.command("list", epilog="Example: kernapay inbox list --status parked")
@click.option(
    "--status",
    type=click.Choice(["pending", "processed", "ignored", "parked"]),
    help="Only events with this status. Parked events failed every attempt.",
)
def list_events(status: str | None) -> None:
    """List the newest 100 events."""
    from kernapay.webhooks.models import EventStatus

    with exit_2_on_error():
        events = asyncio.run(_list(load_settings(), EventStatus(status) if status else None))
    for event in events:
        line = f"{event.created_at:%Y-%m-%d %H:%M:%SZ}  {event.status.value:<9}  {event.event:<24}"
        line += f"  {event.event_id}  {event.error or event.outcome or ''}"
        click.echo(show_controls(line))
    click.echo(f"{len(events)} event(s).")


@command.command("replay", epilog="Example: kernapay inbox replay --status parked")
@click.argument("event_id", required=False)
@click.option(
    "--status",
    type=click.Choice(["parked", "pending"]),
    help="Replay every event with this status.",
)
def replay(event_id: str | None, status: str | None) -> None:
    """Process one event again, or all with a status.

    EVENT_ID is the id in the list. Replaying an event that was processed changes nothing. If the command is stopped,
    run it again: it goes on with the events that were not replayed.
    """
    from kernapay.webhooks.models import EventStatus

    if (event_id is None) == (status is None):
        raise click.UsageError("Name one event id, or use --status parked or --status pending.")
    with exit_2_on_error():
        count, parked = asyncio.run(
            _replay(load_settings(), event_id, EventStatus(status or "parked"))
        )
    click.echo(f"{count} event(s) replayed; {parked} are parked now. See: kernapay inbox list")


@command.command("end", epilog='Example: kernapay inbox end evt_QzLx5K2mVh8RtN --reason "a test"')
@click.argument("event_id")
@click.option("--reason", required=True, help="Why nothing has to be done about it.")
def end(event_id: str, reason: str) -> None:
    """End the wait of a parked event for good.

    Until then it stays, and the doctor and the metrics count it.
    """
    with exit_2_on_error():
        asyncio.run(_end(load_settings(), event_id, reason))
    click.echo(f"{event_id} is ended.")


async def _list(settings: Settings, status: "EventStatus | None") -> "list[WebhookEventView]":
    from kernapay.bootstrap.services import open_services

    async with open_services(settings) as services:
        return await services.webhook_repository.page(status, None, skip=0, count=_LISTED)


async def _replay(
    settings: Settings, event_id: str | None, status: "EventStatus"
) -> tuple[int, int]:
    """Return the number of replayed events, and of those that are parked now. Raises NotFound."""
    from kernapay.bootstrap.services import open_services
    from kernapay.commands.operator import operator

    async with open_services(settings) as services:
        inbox = services.webhook_inbox
        if event_id is None:
            count = await inbox.replay_all(operator(), status, None, _show_progress)
        else:
            await inbox.replay(operator(), event_id)
            count = 1
        return count, (await services.webhook_repository.queue.depth()).parked


async def _end(settings: Settings, event_id: str, reason: str) -> None:
    """End the wait of an event. Raises NotFound, Conflict."""
    from kernapay.bootstrap.services import open_services
    from kernapay.commands.operator import operator

    async with open_services(settings) as services:
        await services.webhook_inbox.end(operator(), event_id, reason)


def _show_progress(count: int, total: int) -> None:
    if count % _LISTED == 0 or count == total:
        click.echo(f"{count} of {total}", err=True)
