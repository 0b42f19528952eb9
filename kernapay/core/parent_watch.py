"""End a process when its parent dies. Workers need this after a `kill -9` of the parent."""

import os
import signal
import threading
import time

GRACE_SECONDS = 10.0


def watch_parent(grace: float = GRACE_SECONDS) -> None:
    """End this process when its parent dies: SIGTERM at once, SIGKILL after `grace` seconds."""
    parent = os.getppid()
    threading.Thread(target=_watch, args=(parent, grace), name="parent-watch", daemon=True).start()


def _watch(parent: int, grace: float) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(grace)
    os.kill(os.getpid(), signal.SIGKILL)
