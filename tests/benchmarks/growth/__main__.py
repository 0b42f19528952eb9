"""Whether a cost grows with the number of payments: `python -m tests.benchmarks.growth`.

Fills a database of its own for each size, each with an API beside it, and sends the same requests to all of them in
turn.
"""

import shutil
import signal
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from kernapay.devstack.binaries import MissingBinary
from kernapay.devstack.process import ServerError
from tests.benchmarks.api import machine
from tests.benchmarks.api.bench import WrongAnswers
from tests.benchmarks.api.material import Unexpected
from tests.benchmarks.api.stack import Watch
from tests.benchmarks.growth import report
from tests.benchmarks.growth.filling import fill
from tests.benchmarks.growth.looks import measure_looks
from tests.benchmarks.growth.metering import measure
from tests.benchmarks.growth.requests import GrowthRequests
from tests.benchmarks.growth.results import VERSION, Result, Round, Run
from tests.benchmarks.growth.site import Site, home_of, is_filled
from tests.benchmarks.growth.works import LOOKS, WORKS, Kind
from tests.benchmarks.saved_runs import keep_run, keeps_runs
from tests.checkout import commit

_LOOKS: Final = "looks"
_NAMES: Final = (*(work.name for work in WORKS), _LOOKS)
_UNITS: Final = {"k": 1000, "m": 1_000_000}
_SMALLEST: Final = 1000
# A payment with its entries in the indexes, its settlement row and its event.
_BYTES_EACH: Final = 3500
_PROGRESS: Final = (
    TextColumn("{task.description}"),
    BarColumn(),
    MofNCompleteColumn(),
    TimeElapsedColumn(),
    TimeRemainingColumn(),
)


def _split_sizes(_: click.Context, __: click.Parameter, text: str) -> tuple[int, ...]:
    try:
        sizes = sorted({_read_size(part.strip().lower()) for part in text.split(",")})
    except ValueError:
        sizes = []
    if not sizes or sizes[0] < _SMALLEST:
        raise click.BadParameter("must be numbers from 1k, such as 10k,1m, separated by commas")
    return tuple(sizes)


def _read_size(text: str) -> int:
    unit = _UNITS.get(text[-1:], 1)
    return int(text[:-1] if unit > 1 else text) * unit


def _split_names(_: click.Context, __: click.Parameter, text: str | None) -> tuple[str, ...]:
    names = tuple(part.strip() for part in text.split(",")) if text else _NAMES
    if unknown := set(names) - set(_NAMES):
        raise click.BadParameter(f"nothing is named {', '.join(sorted(unknown))}")
    return names


@click.command()
@click.option(
    "--sizes",
    default="10k,1m,5m",
    show_default=True,
    callback=_split_sizes,
    help="Numbers of payments, from 1k.",
)
@click.option(
    "--only",
    metavar="WORK,…",
    callback=_split_names,
    help=f"What to measure: {', '.join(_NAMES)}. All without this.",
)
@click.option("--rounds", type=click.IntRange(1, 100), default=5, show_default=True)
@click.option(
    "--requests",
    type=click.IntRange(5, 10_000),
    default=100,
    show_default=True,
    help="How many of each kind are sent in a round.",
)
@click.option(
    "--cache",
    "cache_gb",
    type=click.FloatRange(0.25, 1024),
    default=2.0,
    show_default=True,
    help="The cache of each MongoDB, in GB. Its default is half of the memory of the machine.",
)
@click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep the databases in this folder, and use those that an earlier run left there.",
)
@keeps_runs(Run, VERSION)
def main(
    sizes: tuple[int, ...],
    only: tuple[str, ...],
    rounds: int,
    requests: int,
    cache_gb: float,
    keep: Path | None,
    save: Path | None,
    before: Run | None,
) -> None:
    """Measure what requests and looks cost with few payments, and with many.

    The exit code is 1 if something grows that should not, or takes too long.
    """
    if sys.platform != "linux":
        raise click.ClickException("The figures come from the clocks of Linux.")
    # Not the default, which would leave the servers to themselves.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    run = _new_run(cache_gb, requests)
    try:
        with home_of(keep) as home, ExitStack() as stack:
            _require_room(home, sizes)
            sites = _open(home, sizes, cache_gb, stack)
            click.echo(report.heading(run))
            for result in _measure_all(sites, only, rounds, requests):
                run.results.append(result)
                click.echo(report.lines(result))
            click.echo("\n" + report.footing(run))
    except (ServerError, MissingBinary, WrongAnswers, Unexpected) as error:
        raise click.ClickException(str(error)) from error
    finally:
        # Also what an interrupted run has measured.
        keep_run(run, save)
    if before is not None:
        click.echo("\n" + report.changes(before, run))
    sys.exit(1 if any(result.faults for result in run.results) else 0)


def _require_room(home: Path, sizes: Sequence[int]) -> None:
    missing = sum(size for size in sizes if not is_filled(home / str(size)))
    needed, free = missing * _BYTES_EACH, shutil.disk_usage(home).free
    if needed > free:
        raise click.ClickException(
            f"This needs {needed / 1e9:.0f} GB in {home}, and {free / 1e9:.0f} GB are free. "
            "Choose smaller --sizes, or another folder by TMPDIR or --keep."
        )


def _open(home: Path, sizes: Sequence[int], cache_gb: float, stack: ExitStack) -> list[Site]:
    """Start the servers of each size, and fill the databases that are empty."""
    cores = machine.split_cores()
    sites = []
    with _progress() as progress:
        for size in sizes:
            task = progress.add_task(f"{size:,} payments", total=size)
            site = Site(home / str(size), stack, size, cores, cache_gb)
            if not site.is_filled:
                fill(site, partial(progress.advance, task))
            progress.update(task, completed=size)
            sites.append(site)
    return sites


def _measure_all(
    sites: Sequence[Site], names: Sequence[str], rounds: int, requests: int
) -> Iterator[Result]:
    """Yield what each work cost, with the sizes in turn."""
    works = [work for work in WORKS if work.name in names]
    made = {site.payments: GrowthRequests(site) for site in sites}
    with _progress() as progress:
        task = progress.add_task("", total=(len(works) + (_LOOKS in names)) * rounds * len(sites))
        for work in works:
            found: dict[int, list[Round]] = defaultdict(list)
            for _ in range(rounds):
                for site in sites:
                    progress.update(task, description=f"{work.title}, {site.payments:,}")
                    watch = Watch(*(each.servers for each in sites))
                    found[site.payments].append(
                        measure(site, made[site.payments], work, requests, watch)
                    )
                    progress.advance(task)
            yield Result(work.name, work.title, work.kind, found)
        if _LOOKS in names:
            looks: dict[str, dict[int, list[Round]]] = defaultdict(lambda: defaultdict(list))
            for _ in range(rounds):
                for site in sites:
                    progress.update(task, description=f"looks, {site.payments:,}")
                    for name, each in measure_looks(site, requests).items():
                        looks[name][site.payments].append(each)
                    progress.advance(task)
            for name in LOOKS:
                yield Result(f"look-{name}", f"look: {name}", Kind.FLAT, looks[name])


def _progress() -> Progress:
    return Progress(*_PROGRESS, console=Console(stderr=True), transient=True)


def _new_run(cache_gb: float, requests: int) -> Run:
    return Run(
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        commit=commit(),
        processor=machine.model(),
        cache_gb=cache_gb,
        requests=requests,
        results=[],
    )


if __name__ == "__main__":
    main()
