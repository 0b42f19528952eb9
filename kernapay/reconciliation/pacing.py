"""Limit the rate of calls to the gateway, and slow down when it is busy."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final, TypeVar

import structlog

from kernapay.core.heartbeat import beat
from kernapay.gateway.base import GatewayUnknown, GatewayUnreadable

T = TypeVar("T")

_log = structlog.get_logger("kernapay.reconciliation")
_ATTEMPTS: Final = 6
_FIRST_PAUSE_SECONDS: Final = 0.5
_LONGEST_PAUSE_SECONDS: Final = 30.0
_REFUSED: Final = 400


class Pace:
    """Allow at most `rate` calls a second, among all callers that share this object."""

    def __init__(self, rate: float, first_pause: float = _FIRST_PAUSE_SECONDS) -> None:
        """`first_pause` (seconds) follows a first attempt without an answer; the five pauses add up to 31 of it."""
        self._first_pause = first_pause
        self._interval = 1 / rate
        self._next = 0.0

    async def call(self, read: Callable[[], Awaitable[T]]) -> T:
        """Wait for a turn, then call the gateway. Repeat with growing pauses while it is busy or does not answer.

        Use it for reads only: a call that changes something must not be repeated blindly. Raises the last error.
        """
        pause = self._first_pause
        for attempt in range(1, _ATTEMPTS + 1):
            await self._wait_for_turn()
            beat()
            try:
                return await read()
            except GatewayUnreadable:
                raise
            except GatewayUnknown as error:
                # A refusal of a question is no success later either, but it proves nothing.
                if attempt == _ATTEMPTS or error.http_status == _REFUSED:
                    raise
                _log.info("gateway_slow", code=error.code, pause=pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
        raise AssertionError("unreachable")

    async def _wait_for_turn(self) -> None:
        at = monotonic()
        self._next = max(self._next + self._interval, at)
        if self._next > at:
            await asyncio.sleep(self._next - at)
