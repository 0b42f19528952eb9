import time
from collections.abc import Callable


def eventually(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Wait until the condition holds; fail after the given time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
