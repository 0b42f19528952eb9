"""Named places where a test may have the process killed, to prove that any step can be the last."""

import os
import signal
from typing import Final

VARIABLE: Final = "KERNAPAY_CRASH_AT"
_armed: Final = os.environ.get(VARIABLE) if os.environ.get("APP_ENV") != "production" else None


def crash_point(name: str) -> None:
    """Die here as by `kill -9` when this point is armed; never in production."""
    if _armed == name:
        os.kill(os.getpid(), signal.SIGKILL)
