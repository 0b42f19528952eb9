"""Find MongoDB commands that start on an event loop: they would hold up all other requests."""

import asyncio

from pymongo import monitoring


class Tripwire(monitoring.CommandListener):
    """Note such commands of every client made after it is registered."""

    def __init__(self) -> None:
        self.tripped: list[str] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        # The goodbye of a client that is closed: nothing else is served any more.
        if event.command_name != "endSessions" and _on_event_loop():
            self.tripped.append(event.command_name)

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Not of interest."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Not of interest."""


def _on_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


tripwire = Tripwire()
monitoring.register(tripwire)
