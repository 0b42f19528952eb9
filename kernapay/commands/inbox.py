"""`kernapay inbox`: the webhook events that came, and their replay."""

import asyncio
from typing import TYPE_CHECKING

import click

from kernapay.commands.output import exit_2_on_error
from kernapay.config.settings import Settings, load_settings

if TYPE_CHECKING:
    from kernapay.webhooks.dtos import WebhookEventView
    from kernapay.webhooks.models import EventStatus

_LISTED = 100


@click.group()
def command() -> None:
    """Look at the webhook events that came, and handle them again."""


@command.command("list")
@click.option("--status", type=click.Choice(["pending", "processed", "ignored", "parked"]))
def list_events(status: str | None) -> None:
    """List the newest hundred events."""
    from kernapay.webhooks.models import EventStatus

    with exit_2_on_error():
        found = asyncio.run(_list(load_settings(), EventStatus(status) if status else None))
    for event in found:
        line = f"{event.created_at:%Y-%m-%d %H:%M:%SZ}  {event.status.value:<9}  {event.event:<24}"
        click.echo(f"{line}  {event.event_id}  {event.error or event.outcome or ''}")
    click.echo(f"{len(found)} event(s).")


@command.command("replay")
@click.argument("event_id", required=False)
@click.option("--status", type=click.Choice(["parked", "pending"]), help="All of this status.")
def replay(event_id: str | None, status: str | None) -> None:
    """Handle one event again, or all of a status; harmless for what was handled already."""
    from kernapay.webhooks.models import EventStatus

    if (event_id is None) == (status is None):
        raise click.UsageError("Say which: an event id, or --status parked.")
    with exit_2_on_error():
        count = asyncio.run(_replay(load_settings(), event_id, EventStatus(status or "parked")))
    click.echo(f"{count} event(s) handled again. See what became of them: kernapay inbox list")


async def _list(settings: Settings, status: "EventStatus | None") -> "list[WebhookEventView]":
    from kernapay.bootstrap.services import opened

    async with opened(settings) as services:
        return await services.webhook_repository.page(status, None, skip=0, count=_LISTED)


async def _replay(settings: Settings, event_id: str | None, status: "EventStatus") -> int:
    """Return how many events were handled again. Raises NotFound."""
    from kernapay.bootstrap.services import opened

    async with opened(settings) as services:
        if event_id is None:
            return await services.webhook_inbox.replay_all(status)
        await services.webhook_inbox.replay(event_id)
        return 1
