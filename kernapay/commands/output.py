"""Times, progress and exit codes of the commands that compare with the gateway."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

import click

from kernapay.core.errors import KernaPayError

Progress = Callable[[str, int], None]
"""Called with the name of what is counted, and the count so far."""

TIME: Final = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ"])


def as_utc(time: datetime | None) -> datetime | None:
    return time.replace(tzinfo=UTC) if time else None


class _ComparisonFailed(click.ClickException):
    exit_code = 2


@contextmanager
def exit_2_on_error() -> Iterator[None]:
    """Print a KernaPayError and exit with 2: exit code 1 means that a comparison found differences."""
    try:
        yield
    except KernaPayError as error:
        raise _ComparisonFailed(error.detail) from error


@contextmanager
def progress() -> Iterator[Progress]:
    """Show progress on standard error, if that is a terminal."""
    from rich.console import Console
    from rich.progress import Progress, TaskID, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description} {task.completed}"), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as display:
        tasks: dict[str, TaskID] = {}

        def update(name: str, count: int) -> None:
            if name not in tasks:
                tasks[name] = display.add_task(name, total=None)
            display.update(tasks[name], completed=count)

        yield update
