"""What the commands that work with the gateway share: times, progress, exit codes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

import click

from kernapay.core.errors import KernaPayError

Progress = Callable[[str, int], None]
"""Takes what is counted, and how many there are so far."""

MOMENT: Final = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ"])


def as_utc(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment else None


class _NotFoundOut(click.ClickException):
    exit_code = 2


@contextmanager
def exit_2_on_error() -> Iterator[None]:
    """Print a KernaPayError and exit with 2: 1 says that a comparison found differences."""
    try:
        yield
    except KernaPayError as error:
        raise _NotFoundOut(error.detail) from error


@contextmanager
def progress() -> Iterator[Progress]:
    """Show how far long work has come, on standard error and only on a terminal."""
    from rich.console import Console
    from rich.progress import Progress, TaskID, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description} {task.completed}"), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as display:
        tasks: dict[str, TaskID] = {}

        def update(counted: str, count: int) -> None:
            if counted not in tasks:
                tasks[counted] = display.add_task(counted, total=None)
            display.update(tasks[counted], completed=count)

        yield update
