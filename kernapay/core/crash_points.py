"""Named points where a test can kill the process, to prove that a crash after any step is safe."""

import os
import signal
from functools import cache
from pathlib import Path
from typing import Final

VARIABLE: Final = "KERNAPAY_CRASH_AT"


def disarm() -> None:
    """Let no point kill this process. Production calls it, whatever the variable says."""
    _armed().clear()


def crash_point(name: str) -> None:
    """Kill the process with SIGKILL if this point is armed.

    KERNAPAY_CRASH_AT holds the point's name, or the path of a file that holds it. The file is deleted first,
    so that a restarted process passes the point.
    """
    for armed in _armed():
        if armed == name or _consume(Path(armed), name):
            os.kill(os.getpid(), signal.SIGKILL)


@cache
def _armed() -> list[str]:
    return [os.environ[VARIABLE]] if os.environ.get(VARIABLE) else []


def _consume(file: Path, name: str) -> bool:
    """Delete the file if it holds this name; return whether it did."""
    if not file.is_file() or file.read_text() != name:
        return False
    file.unlink(missing_ok=True)
    return True
