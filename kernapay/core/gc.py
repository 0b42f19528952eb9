"""Turn the garbage collector off during start-up."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def frozen_start() -> Iterator[None]:
    """Run start-up code with the garbage collector off, then freeze what it created.

    Later collections skip frozen objects, and the pages of a forked worker stay shared.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()
