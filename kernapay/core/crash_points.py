"""Named places where a test may have the process killed, to prove that any step can be the last."""

import os
import signal
from pathlib import Path
from typing import Final

VARIABLE: Final = "KERNAPAY_CRASH_AT"
_armed: Final = os.environ.get(VARIABLE) if os.environ.get("APP_ENV") != "production" else None


def crash_point(name: str) -> None:
    """Die here as by `kill -9` when this point is armed; never in production.

    The variable names the point, or a file that names it: dying uses the file up, so what is restarted lives on.
    """
    if _armed is not None and (_armed == name or _used_up(Path(_armed), name)):
        os.kill(os.getpid(), signal.SIGKILL)


def _used_up(file: Path, name: str) -> bool:
    if not file.is_file() or file.read_text() != name:
        return False
    file.unlink(missing_ok=True)
    return True
