"""Limit the open streams of a process, in total and per client."""

from collections import Counter
from typing import Final

from kernapay.core.errors import TooManyRequests
from kernapay.live.metrics import REFUSED, STREAMS

_RETRY_AFTER: Final = 10


class TooManyStreams(TooManyRequests):
    """Too many streams are open, from this client or in all. Ask for the status from time to time instead."""

    code = "too_many_streams"
    title = "Too many streams"


class StreamLimits:
    """Counts the open streams of this process. `in_all` and `per_client` are the limits."""

    def __init__(self, in_all: int, per_client: int) -> None:
        self._in_all = in_all
        self._per_client = per_client
        self._taken: Counter[str] = Counter()
        self._total = 0

    def take(self, client: str) -> None:
        """Count a new stream. The client is an account or a network address. Raises TooManyStreams."""
        if self._taken[client] >= self._per_client:
            self._refuse("client", "You have too many streams open.")
        if self._total >= self._in_all:
            self._refuse("all", "Too many streams are open.")
        self._taken[client] += 1
        self._count(1)

    def leave(self, client: str) -> None:
        self._taken[client] -= 1
        if not self._taken[client]:
            del self._taken[client]
        self._count(-1)

    def _count(self, change: int) -> None:
        self._total += change
        STREAMS.set(self._total)

    def _refuse(self, limit: str, what: str) -> None:
        REFUSED.labels(limit).inc()
        raise TooManyStreams(
            f"{what} Close one, or ask GET /v1/api/payments/status/{{referenceId}} every few seconds.",
            retry_after=_RETRY_AFTER,
        )
