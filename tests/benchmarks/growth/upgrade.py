"""Whether the service answers while an upgrade migrates many payments: `python -m tests.benchmarks.growth.upgrade`.

Fills a database, takes it back to an earlier schema, serves it by an API that knows no later one, and migrates it while
people use that API.
"""

import asyncio
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import click
from rich.console import Console
from rich.progress import Progress

from kernapay.devstack.binaries import MissingBinary
from kernapay.devstack.process import ServerError
from kernapay.storage.migration_files import read_migrations
from kernapay.storage.migrations import Migrator
from kernapay.storage.schema import APPLIED
from tests.aliases import Json
from tests.benchmarks.api import machine
from tests.benchmarks.api.http_client import Connection
from tests.benchmarks.api.material import Unexpected
from tests.benchmarks.api.stack import Program
from tests.benchmarks.growth.filling import fill
from tests.benchmarks.growth.requests import GrowthRequests
from tests.benchmarks.growth.site import Site, home_of
from tests.benchmarks.loadtest.recorder import percentiles
from tests.checkout import PACKAGE, ROOT

# With its indexes, every request that is sent here is served. Those after it can be applied beside the service.
_EARLIEST: Final = "0011"
# What migrations fill in.
_FIELDS: Final = {
    "0012": ("payeeId",),
    "0015": ("amountPaid", "payableUntil", "endsAt", "endChecks", "final"),
    "0019": ("checkAt",),
    "0022": ("noteHashes",),
}
_LONGEST_SECONDS: Final = 1.0
_PAUSE_SECONDS: Final = 0.05


class _Call(NamedTuple):
    name: str
    at: datetime
    seconds: float
    status: int


class _People:
    """Buy and look, until they are told to stop."""

    def __init__(self, site: Site, requests: GrowthRequests) -> None:
        self._port = site.servers.api.port
        self._requests = requests
        self.calls: list[_Call] = []
        self.stopped = False

    async def use(self, number: int) -> None:
        async with Connection(self._port) as connection:
            while not self.stopped:
                await self._buy(connection, number)
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _buy(self, connection: Connection, number: int) -> None:
        create = self._requests.create_of(number)
        status, answer = await self._send(connection, "create", create)
        if status == 201:
            payment = answer["data"]
            for name, request in (
                ("webhook", self._requests.event_of(payment)),
                ("status", self._requests.status_of(payment)),
                ("history", self._requests.history_of(number)),
            ):
                await self._send(connection, name, request)

    async def _send(self, connection: Connection, name: str, request: bytes) -> tuple[int, Json]:
        at, began = datetime.now(UTC), time.perf_counter()
        answer = await connection.send(request)
        self.calls.append(_Call(name, at, time.perf_counter() - began, answer.status))
        return answer.status, json.loads(answer.body)


def _go_back(site: Site, earlier: str) -> None:
    """Revert the later migrations, and take out what they filled in."""
    Migrator(site.store).down(sum(each.name[:4] > earlier for each in read_migrations()))
    later = [name for number, names in _FIELDS.items() if number > earlier for name in names]
    if later:
        site.store.payments.update_many({}, {"$unset": dict.fromkeys(later, "")})


def _serve_earlier(site: Site, stack: ExitStack, earlier: str) -> None:
    """Replace the API by one that knows no later migration."""
    copy = site.home / "earlier"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(PACKAGE, copy / PACKAGE.name)
    (copy / "migrations").mkdir()
    for migration in read_migrations():
        if migration.name[:4] <= earlier:
            shutil.copy(migration.path, copy / "migrations")
    servers = site.servers
    servers.api.stop()
    # Not the package of the folder in which this command is called.
    env = {**servers.env, "PYTHONPATH": str(copy), "PYTHONSAFEPATH": "1"}
    arguments = ["kernapay", "serve", "--workers", "1", "--port"]
    api = Program("earlier", site.home, arguments, servers.api.port, env, "/health/ready")
    api.launch()
    stack.callback(api.kill)
    api.start_on(servers.cores.server)


async def _migrate(site: Site, people: _People, clients: int, quiet_seconds: float) -> list[_Call]:
    """Let people use the API for a while, and then while it is migrated. Return the calls of the latter."""
    async with asyncio.TaskGroup() as group:
        for number in range(clients):
            group.create_task(people.use(number))
        await asyncio.sleep(quiet_seconds)
        before = len(people.calls)
        command = (sys.executable, "-m", "kernapay", "migrate", "up")
        process = await asyncio.create_subprocess_exec(
            *command, cwd=ROOT, env=site.servers.env, stdout=subprocess.DEVNULL
        )
        code = await process.wait()
        people.stopped = True
    if code:
        raise Unexpected(f"The migration ended with {code}.")
    return people.calls[before:]


def _applied(site: Site, began: datetime) -> list[tuple[str, datetime]]:
    """Return when each migration ended."""
    rows = site.store[APPLIED].find({"appliedAt": {"$gte": began}}).sort("_id", 1)
    return [(row["_id"], row["appliedAt"]) for row in rows]


def _show_migrations(applied: Sequence[tuple[str, datetime]], began: datetime) -> None:
    for name, ended in applied:
        click.echo(f"  {name:<40}{(ended - began).total_seconds():>8.1f} s")
        began = ended


def _show_faults(calls: Sequence[_Call], applied: Sequence[tuple[str, datetime]]) -> bool:
    """Print the calls that failed or were slow, and what was migrated meanwhile. Return whether there were any."""
    faults = [
        call for call in calls if call.status not in (200, 201) or call.seconds > _LONGEST_SECONDS
    ]
    for call in faults[:20]:
        during = next((name for name, ended in applied if ended >= call.at), "its end")
        text = f"{call.name} {call.status} after {call.seconds:.2f} s, during {during}"
        click.echo(f"MISSED: {text}", err=True)
    return bool(faults)


def _show_calls(title: str, calls: Sequence[_Call]) -> None:
    for name in ("create", "webhook", "status", "history"):
        took = [call.seconds * 1000 for call in calls if call.name == name]
        p50, p99 = percentiles(took)
        worst = max(took, default=0.0)
        click.echo(f"{title:<10}{name:<10}{len(took):>7}{p50:>10.1f}{p99:>10.1f}{worst:>10.1f}")


def _require_migration(_: click.Context, __: click.Parameter, number: str) -> str:
    numbers = sorted(each.name[:4] for each in read_migrations() if each.name[:4] >= _EARLIEST)
    if number not in numbers[:-1]:
        raise click.BadParameter(f"must be one of {', '.join(numbers[:-1])}")
    return number


@click.command()
@click.option("--payments", type=click.IntRange(1000), default=1_000_000, show_default=True)
@click.option(
    "--from",
    "earlier",
    default=_EARLIEST,
    show_default=True,
    callback=_require_migration,
    help="Number of the last migration that the API knows.",
)
@click.option("--clients", type=click.IntRange(1, 8), default=4, show_default=True)
@click.option("--cache", "cache_gb", type=click.FloatRange(0.25), default=2.0, show_default=True)
@click.option("--quiet", "quiet_seconds", type=click.FloatRange(1), default=10.0, show_default=True)
@click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep the database in this folder, and use the one that an earlier run left there.",
)
def main(
    payments: int,
    earlier: str,
    clients: int,
    cache_gb: float,
    quiet_seconds: float,
    keep: Path | None,
) -> None:
    """Migrate a database with many payments while people use its API.

    The exit code is 1 if a call failed, or took longer than a second.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        with home_of(keep) as home, ExitStack() as stack:
            site = Site(home / str(payments), stack, payments, machine.split_cores(), cache_gb)
            if not site.is_filled:
                with Progress(console=Console(stderr=True), transient=True) as progress:
                    task = progress.add_task("Filling", total=payments)
                    fill(site, partial(progress.advance, task))
            click.echo(f"{payments:,} payments. Going back to {earlier}.")
            requests = GrowthRequests(site)
            _go_back(site, earlier)
            _serve_earlier(site, stack, earlier)
            people = _People(site, requests)
            began = datetime.now(UTC) + timedelta(seconds=quiet_seconds)
            during = asyncio.run(_migrate(site, people, clients, quiet_seconds))
            click.echo(f"Migrated in {(datetime.now(UTC) - began).total_seconds():.0f} s.")
            applied = _applied(site, began)
            _show_migrations(applied, began)
    except (ServerError, MissingBinary, Unexpected) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{'':<10}{'call':<10}{'calls':>7}{'p50 ms':>10}{'p99 ms':>10}{'worst ms':>10}")
    _show_calls("before", people.calls[: len(people.calls) - len(during)])
    _show_calls("meanwhile", during)
    sys.exit(1 if _show_faults(during, applied) else 0)


if __name__ == "__main__":
    main()
