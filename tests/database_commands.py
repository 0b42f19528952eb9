"""Note the MongoDB commands of one piece of work, and of nothing that runs beside it."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

from pymongo import monitoring


class Command(NamedTuple):
    name: str
    collection: str


_noted: ContextVar[list[Command] | None] = ContextVar("noted", default=None)


class _Listener(monitoring.CommandListener):
    """Listen to every client made after it is registered."""

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        noted = _noted.get()
        if noted is not None:
            noted.append(Command(event.command_name, str(event.command[event.command_name])))

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Not of interest."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Not of interest."""


@contextmanager
def noted_commands() -> Iterator[list[Command]]:
    """Note the commands of the block, and of the threads and tasks that it starts.

    A pool's thread works in the context of its caller; a background loop that runs already has another one.
    """
    noted: list[Command] = []
    token = _noted.set(noted)
    try:
        yield noted
    finally:
        _noted.reset(token)


monitoring.register(_Listener())
