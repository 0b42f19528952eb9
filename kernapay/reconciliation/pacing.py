"""Calls to the gateway at a pace it bears: spread out, and slower when it says so."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final, TypeVar

import structlog

from kernapay.gateway.base import GatewayUnknown

T = TypeVar("T")

_log = structlog.get_logger("kernapay.reconciliation")
_ATTEMPTS: Final = 6
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 30.0


class Pace:
    """At most `rate` calls a second, over all who share this object."""

    def __init__(self, rate: float) -> None:
        self._interval = 1 / rate
        self._next = 0.0

    async def call(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask in turn; repeat with growing pauses while the gateway is busy or silent. Raises its last error.

        For questions only: what changes something must not be repeated unasked.
        """
        pause = _FIRST_PAUSE
        for attempt in range(1, _ATTEMPTS + 1):
            await self._turn()
            try:
                return await ask()
            except GatewayUnknown as error:
                if attempt == _ATTEMPTS:
                    raise
                _log.info("gateway_slow", code=error.code, pause=pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
        raise AssertionError("unreachable")

    async def _turn(self) -> None:
        at = monotonic()
        self._next = max(self._next + self._interval, at)
        if self._next > at:
            await asyncio.sleep(self._next - at)
