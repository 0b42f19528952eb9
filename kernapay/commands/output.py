"""Times, progress and exit codes of the commands that compare with the gateway."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from time import monotonic
from typing import Final

import click

from kernapay.core.errors import KernaPayError

Progress = Callable[[str, int], None]
"""Called with the name of what is counted, and the count so far."""

INCOMPLETE: Final = 3
"""The exit code if no difference was found, but something could not be compared."""
_SECONDS_BETWEEN_LINES: Final = 5.0
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
def progress(*, asks: bool = False) -> Iterator[Progress]:
    """Show progress on standard error: in place on a terminal, else as a line now and then.

    With `asks`, print lines even on a terminal, because a bar would overwrite the command's question.
    """
    from rich.console import Console
    from rich.progress import Progress, TaskID, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description} {task.completed}"), TimeElapsedColumn())
    console = Console(stderr=True)
    if asks or not console.is_terminal:
        yield _Lines()
        return
    with Progress(*columns, console=console, transient=True) as display:
        tasks: dict[str, TaskID] = {}

        def update(name: str, count: int) -> None:
            if name not in tasks:
                tasks[name] = display.add_task(name, total=None)
            display.update(tasks[name], completed=count)

        yield update


class _Lines:
    """Prints a name when it is first counted, and its count every few seconds."""

    def __init__(self) -> None:
        self._printed_at: dict[str, float] = {}

    def __call__(self, name: str, count: int) -> None:
        at = monotonic()
        if at - self._printed_at.get(name, -_SECONDS_BETWEEN_LINES) >= _SECONDS_BETWEEN_LINES:
            self._printed_at[name] = at
            click.echo(f"{name}: {count} …", err=True)


def show_unchecked(unchecked: Sequence[str]) -> None:
    """Print the subjects that could not be compared, and their number."""
    for each in unchecked:
        click.echo(f"not compared      {each}")
    click.echo(f"{len(unchecked)} could not be compared.")
