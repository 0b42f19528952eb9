"""What `GET /insights` costs for a month with so many payments: `python -m tests.benchmarks.insights`.

Fills a database of its own, as the growth benchmark does, but all within a month. An administrator sees all payments,
the provider half of them.
"""

import asyncio
import os
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

import click

from kernapay.bootstrap.services import Services
from tests.actors import INSIGHTS, Actor
from tests.benchmarks.api import machine
from tests.benchmarks.growth.filling import fill
from tests.benchmarks.growth.site import Site, home_of
from tests.environment import settings_from

MONTH: Final = timedelta(days=30)
_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_KINDS: Final = (None, "method", "provider", "serviceType")


@click.command()
@click.option("--payments", type=click.IntRange(1000), default=100_000, show_default=True)
@click.option("--calls", type=click.IntRange(2, 1000), default=20, show_default=True)
@click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep the database in this folder, and use the one that an earlier run left there.",
)
def main(payments: int, calls: int, keep: Path | None) -> None:
    """Measure what a month adds up to: for an administrator and a provider, by each kind."""
    if sys.platform != "linux":
        raise click.ClickException("The figures come from the clocks of Linux.")
    with home_of(keep) as home, ExitStack() as stack:
        site = Site(home / str(payments), stack, payments, machine.split_cores(), 2.0)
        if not site.is_filled:
            began = time.monotonic()
            with click.progressbar(length=payments, label="filling") as bar:
                fill(site, partial(bar.update), MONTH)
            click.echo(f"filled in {time.monotonic() - began:.0f} s")
        # Nothing waits for a worker here.
        site.store.payments.update_many({"announce": {"$gt": _EPOCH}}, {"$unset": {"announce": ""}})
        asyncio.run(_keep(site))
        _show(site, calls)


async def _keep(site: Site) -> None:
    """Let the keeper work until nothing is left."""
    services = Services(settings_from(site.servers.env), process="worker")
    await services.open()
    machine.pin([os.getpid()], site.servers.cores.others)
    began, cpu = time.monotonic(), time.process_time()
    try:
        keeper = services.insight_keeper
        while await keeper.sweep():
            pass
    finally:
        await services.close()
    used = time.process_time() - cpu
    click.echo(
        f"kept in {time.monotonic() - began:.0f} s, of which the worker used {used:.0f} s; "
        f"{site.store.insight_sums.estimated_document_count()} sums"
    )


def _show(site: Site, calls: int) -> None:
    for name, actor in (("administrator", site.admin), ("provider", site.provider)):
        for by in _KINDS:
            times = list(_measure(actor, calls, by))
            if not times:
                click.echo(f"{name:14} {by or '-':12} refused")
                continue
            click.echo(
                f"{name:14} {by or '-':12} p50 {statistics.median(times):6.0f} ms   "
                f"slowest {max(times):6.0f} ms"
            )


def _measure(actor: Actor, calls: int, by: str | None) -> Iterator[float]:
    at = datetime.now(UTC)
    period = {"from": (at - MONTH).isoformat(), "to": (at + timedelta(hours=1)).isoformat()}
    query = {**period, **({"by": by} if by else {})}
    for _ in range(calls):
        began = time.perf_counter()
        answer = actor.call("GET", INSIGHTS, params=query)
        if not answer.is_success:
            return
        yield (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    main()
