"""Store calls to the gateway in the background, so that no call waits for MongoDB or fails because of it."""

import asyncio
import os
import re
import socket
from contextlib import suppress
from contextvars import Context
from typing import Final

import structlog

from kernapay.core import logs
from kernapay.core.clock import Clock, now
from kernapay.core.errors import Unavailable
from kernapay.gateway.calls.repository import GatewayCallRepository
from kernapay.gateway.calls.rows import Call, Row, row_of
from kernapay.gateway.connections import Request
from kernapay.gateway.metrics import NOT_KEPT

_log = structlog.get_logger("kernapay.gateway")
# What comes in this time is one write.
_SECONDS: Final = 1.0
# An API worker makes fewer in a second. With answers of about a kilobyte, it is some megabytes.
_MOST_WAITING: Final = 2_000
# Of a longer one, only the status is kept.
_LONGEST_ANSWER: Final = 16_384
# When the process ends. MongoDB may be away.
_PATIENCE: Final = 2.0
# Others are about no payment: pages of lists, settlements.
_ABOUT_PAYMENT: Final = re.compile(r"/(?:order|pay|disp)_|[?&]receipt=")


class CallJournal:
    def __init__(
        self, calls: GatewayCallRepository, process: str = "api", clock: Clock = now
    ) -> None:
        """`process` is the kind of process that makes the calls."""
        self._calls = calls
        self._process = process
        self._clock = clock
        self._waiting: list[Call] = []
        self._writing: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    def note(self, request: Request, status: int | None, answer: bytes, seconds: float) -> None:
        """Record a call that has ended. It is stored about a second later."""
        if request.method == "GET" and not _ABOUT_PAYMENT.search(request.url):
            return
        if len(self._waiting) >= _MOST_WAITING:
            NOT_KEPT.inc()
            return
        ids = logs.request_ids.get()
        self._waiting.append(
            Call(
                self._clock(),
                request.method,
                request.url,
                request.body,
                status,
                answer if len(answer) <= _LONGEST_ANSWER else b"",
                seconds,
                ids and ids.own,
            )
        )
        if self._writing is None:
            # In a context of its own: what it logs is not of the request that happens to be the first.
            self._writing = asyncio.get_running_loop().create_task(
                self._write_all(), context=Context()
            )

    async def close(self) -> None:
        """Store the recorded calls, within two seconds."""
        self._closing.set()
        if self._writing is not None:
            await asyncio.wait([self._writing], timeout=_PATIENCE)

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_SECONDS):
                        await self._closing.wait()
                await self._write()
        finally:
            self._writing = None

    async def _write(self) -> None:
        calls, self._waiting = self._waiting, []
        process = f"{self._process} {socket.gethostname()} {os.getpid()}"
        try:
            await self._calls.keep(lambda: _rows(calls, process))
        except Unavailable as error:
            NOT_KEPT.inc(len(calls))
            _log.info("gateway_calls_not_kept", calls=len(calls), code=error.code)
        except Exception as error:
            # Whatever it is, it must not keep the next ones from being written.
            NOT_KEPT.inc(len(calls))
            _log.error("gateway_calls_not_kept", calls=len(calls), exc_info=error)


def _rows(calls: list[Call], process: str) -> list[Row]:
    rows = (row_of(call, process) for call in calls)
    return [row for row in rows if row is not None]
