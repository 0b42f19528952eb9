"""The version and the commit of this build."""

from pathlib import Path
from typing import Final

from kernapay import __version__

_PACKAGE: Final = Path(__file__).parents[1]
_SHOWN: Final = 12


def version() -> str:
    """Return the version, with the commit if it is known: `0.1.0 (3f2c9d1a7b60)`."""
    found = commit()
    return f"{__version__} ({found[:_SHOWN]})" if found else __version__


def commit(package: Path = _PACKAGE) -> str | None:
    """Return the commit: the one written into a wheel when it was built, or git's in a checkout."""
    for path in (package / "COMMIT", package.parent / ".git" / "HEAD"):
        if path.is_file():
            text = path.read_text("utf-8").strip()
            return _resolve(path.parent, text.removeprefix("ref: ")) if "ref: " in text else text
    return None


def _resolve(git: Path, ref: str) -> str | None:
    if (git / ref).is_file():
        return (git / ref).read_text("utf-8").strip()
    packed = git / "packed-refs"
    lines = packed.read_text("utf-8").splitlines() if packed.is_file() else []
    return next((line.split()[0] for line in lines if line.endswith(f" {ref}")), None)
