"""What each route costs the API, beside what the bare work of the route costs: `python -m tests.benchmarks.api`.

Starts the API as production has it, its stores, the sandbox, and a server with the limits. The API and the limits run
on one core, everything else on the others.
"""

import platform
import signal
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, cast

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from kernapay.devstack.binaries import MissingBinary
from kernapay.devstack.process import ServerError
from tests.benchmarks.api import machine, report
from tests.benchmarks.api.bench import Bench, Plan, WrongAnswers
from tests.benchmarks.api.load import Tool, find_tool
from tests.benchmarks.api.material import Material
from tests.benchmarks.api.results import VERSION, Result, Run
from tests.benchmarks.api.rows import ROWS
from tests.benchmarks.api.special_rows import SPECIAL_ROWS
from tests.benchmarks.api.stack import running_stack
from tests.benchmarks.api.steps import accounts_for, plan_steps
from tests.benchmarks.saved_runs import keep_run, keeps_runs
from tests.checkout import commit

TITLES: Final = {row.name: row.title for row in (*ROWS, *SPECIAL_ROWS)}
_PROGRESS: Final = (
    TextColumn("{task.description}"),
    BarColumn(),
    MofNCompleteColumn(),
    TimeElapsedColumn(),
)
_QUICK: Final = {"seconds": 1.0, "rounds": 2, "connections": "16", "requests": 10_000}


def _split_names(_: click.Context, __: click.Parameter, text: str | None) -> tuple[str, ...]:
    names = tuple(part.strip() for part in text.split(",")) if text else tuple(TITLES)
    if unknown := set(names) - set(TITLES):
        raise click.BadParameter(f"no row is named {', '.join(sorted(unknown))}")
    return names


def _split_numbers(_: click.Context, __: click.Parameter, text: str) -> tuple[int, ...]:
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if not numbers or not all(1 <= number <= 64 for number in numbers):
        raise click.BadParameter("must be numbers from 1 to 64, separated by commas")
    return numbers


def _use_quick(context: click.Context, _: click.Parameter, is_quick: bool) -> None:
    if is_quick:
        context.default_map = {**(context.default_map or {}), **_QUICK}


@click.command()
@click.option(
    "--quick",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_use_quick,
    help="Two rounds of a second at 16 connections, and 10,000 requests for the memory.",
)
@click.option(
    "--only",
    metavar="ROW,…",
    callback=_split_names,
    help=f"Rows to measure: {', '.join(TITLES)}. All without this.",
)
@click.option("--connections", default="1,16,64", show_default=True, callback=_split_numbers)
@click.option(
    "--seconds",
    type=click.FloatRange(0.5, 60),
    default=3.0,
    show_default=True,
    help="Length of a round. wrk takes whole seconds.",
)
@click.option("--rounds", type=click.IntRange(1, 100), default=5, show_default=True)
@click.option(
    "--requests",
    type=click.IntRange(100),
    default=100_000,
    show_default=True,
    help="After how many requests the memory is measured.",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(0),
    default=10.0,
    show_default=True,
    help="Percent of a core that others may use in a round that counts.",
)
@click.option(
    "--load",
    "tool",
    type=click.Choice(["wrk", "python"]),
    default=find_tool,
    show_default="wrk, or python without it",
    help="What makes the load.",
)
@keeps_runs(Run, VERSION)
def main(
    only: tuple[str, ...],
    connections: tuple[int, ...],
    seconds: float,
    rounds: int,
    requests: int,
    tolerance: float,
    tool: str,
    save: Path | None,
    before: Run | None,
) -> None:
    """Measure what each route costs the API, beside what the bare work of the route costs.

    The exit code is 1 if a row had wrong answers. Such a row has no figures.
    """
    if sys.platform != "linux":
        raise click.ClickException("The figures come from /proc, so this needs Linux.")
    # Not the default, which would leave the servers to themselves.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    plan = Plan(seconds, rounds, tolerance / 100, cast(Tool, tool), requests)
    run = _new_run(plan)
    click.echo(report.heading(run, plan.tolerance))
    try:
        failed = _measure_all(plan, only, connections, run.results)
    except (ServerError, MissingBinary) as error:
        raise click.ClickException(str(error)) from error
    finally:
        # Also what an interrupted run has measured.
        keep_run(run, save)
    if before is not None:
        click.echo("\n" + report.changes(before, run, TITLES))
    sys.exit(1 if failed else 0)


def _measure_all(
    plan: Plan, names: tuple[str, ...], connections: tuple[int, ...], results: list[Result]
) -> bool:
    """Measure the rows and print each. Return whether one had wrong answers."""
    steps = plan_steps(names, connections)
    failed = False
    with (
        tempfile.TemporaryDirectory(prefix="kernapay-benchmark-") as home,
        Progress(*_PROGRESS, console=Console(stderr=True), transient=True) as progress,
    ):
        task = progress.add_task("Starting the servers", total=len(steps))
        with running_stack(Path(home)) as stack:
            if not stack.cores.are_apart:
                progress.console.print("There is one core only: the load disturbs the server.")
            progress.update(task, description="Preparing accounts and payments")
            bench = Bench(stack, Material(stack, accounts_for(steps)), plan)
            for step in steps:
                progress.update(task, description=step.title)
                try:
                    results.append(step.measure(bench))
                except WrongAnswers as error:
                    failed = True
                    progress.console.print(f"WRONG ANSWERS: {error}", style="red", markup=False)
                else:
                    click.echo(report.line(results[-1], step.title))
                progress.advance(task)
    return failed


def _new_run(plan: Plan) -> Run:
    return Run(
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        commit=commit(),
        processor=machine.model(),
        python=platform.python_version(),
        tool=plan.tool,
        seconds=plan.seconds,
        rounds=plan.rounds,
        results=[],
    )


if __name__ == "__main__":
    main()
