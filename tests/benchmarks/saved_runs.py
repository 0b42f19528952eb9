"""The options by which a benchmark keeps its run, and compares it with one that was kept."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

import click
import msgspec


class Run(Protocol):
    @property
    def version(self) -> int: ...


RunT = TypeVar("RunT", bound=Run)


def keeps_runs(run_type: type[RunT], version: int) -> Callable[[Any], Any]:
    """Give a command the options `--save`, a path as `save`, and `--compare`, a run of this version as `before`."""

    def read(_: click.Context, __: click.Parameter, path: Path | None) -> RunT | None:
        if path is None:
            return None
        try:
            run = msgspec.json.decode(path.read_bytes(), type=run_type)
        except msgspec.MsgspecError as error:
            raise click.BadParameter(f"is no saved run: {error}") from error
        if run.version != version:
            raise click.BadParameter("was saved by another version of the benchmark")
        return run

    save = click.option(
        "--save", type=click.Path(dir_okay=False, path_type=Path), help="Keep the run as JSON."
    )
    compare = click.option(
        "--compare",
        "before",
        callback=read,
        help="Show what changed since a saved run.",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
    )
    return lambda command: save(compare(command))


def keep_run(run: object, path: Path | None) -> None:
    """Write the run to a path, if there is one."""
    if path is not None:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(run)))
