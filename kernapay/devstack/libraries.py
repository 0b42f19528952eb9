"""Shared libraries that mongod needs and a minimal system lacks. The wheel of pycurl carries them."""

import ctypes
import importlib.metadata
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

NEEDED: Final = ("libcurl.so.4", "libssl.so.3", "libcrypto.so.3")
_WHEEL: Final = "pycurl"
_VARIABLE: Final = "LD_LIBRARY_PATH"


def is_installed(name: str) -> bool:
    """Return whether the loader of this system finds the library."""
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def environment_for(
    folder: Path,
    environ: Mapping[str, str] = os.environ,
    is_installed: Callable[[str], bool] = is_installed,
) -> dict[str, str] | None:
    """Return the environment in which a child finds the libraries. None if it needs no other than ours.

    Only what the system lacks is linked into `folder`: the libraries of the wheel have names of their own.
    """
    missing = [name for name in NEEDED if not is_installed(name)] if sys.platform == "linux" else []
    carried = _carried() if missing else []
    links = {name: path for name in missing if (path := _find(name, carried)) is not None}
    if not links:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    for name, path in links.items():
        # The virtual environment may have moved since the last start.
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(path)
    # The linked libraries need others of the wheel, which lie beside them.
    places = [str(folder), *{str(path.parent): None for path in links.values()}]
    if before := environ.get(_VARIABLE):
        places.append(before)
    return {**environ, _VARIABLE: os.pathsep.join(places)}


def _carried() -> Sequence[Path]:
    try:
        files = importlib.metadata.distribution(_WHEEL).files or ()
    except importlib.metadata.PackageNotFoundError:
        return ()
    return [Path(str(file.locate())).resolve() for file in files if ".so" in file.name]


def _find(name: str, carried: Sequence[Path]) -> Path | None:
    """Return the file of a library: `libcurl.so.4` is `libcurl-330bcbb6.so.4.8.0` in a wheel."""
    stem, _, version = name.partition(".so")
    for path in carried:
        start, _, end = path.name.partition(".so")
        if start.startswith(f"{stem}-") and f"{end}.".startswith(f"{version}."):
            return path
    return None
