"""Calls in a thread of their own."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
_THREAD = ThreadPoolExecutor(1, thread_name_prefix="aside")


def aside(call: Callable[P, R]) -> Callable[P, R]:
    """Let a call run in a thread of its own, also when an event loop waits for it."""

    @wraps(call)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        return _THREAD.submit(call, *args, **kwargs).result()

    return called
