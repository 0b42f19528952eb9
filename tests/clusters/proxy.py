"""A TCP proxy with faults on request: what a network does to a connection."""

import asyncio
import socket
import struct
import threading
from collections.abc import Coroutine
from contextlib import suppress
from enum import StrEnum
from typing import Any, Self

from kernapay.devstack.ports import HOST

CHUNK = 64 * 1024
_TURNS_OF_ACCEPTING = 20
NO_LINGER = struct.pack("ii", 1, 0)  # close with a reset


class Mode(StrEnum):
    PASS = "pass"
    LATENCY = "latency"  # every chunk waits, each way
    HANG = "hang"  # connections stay open and nothing passes, until the mode changes
    CUT = "cut"  # connections are reset, new ones too


class Proxy:
    """Forward connections to a port of this machine, in the mode of the moment."""

    def __init__(self, target: int, port: int = 0) -> None:
        self.target = target
        self.port = port  # 0: any, known after the start
        self._mode = Mode.PASS
        self._latency = 0.0
        self.chunks = 0
        """How many pieces it has passed on."""
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    def mongodb_url(self, database: str) -> str:
        """Return the URL of a database behind it."""
        # Directly: a replica set would tell the client its own address, past the proxy.
        return f"mongodb://{self.address}/{database}?directConnection=true"

    @property
    def redis_url(self) -> str:
        return f"redis://{self.address}/0"

    def set(self, mode: Mode, latency: float = 0.0) -> None:
        """Change the mode for open and new connections alike; the latency is in seconds."""
        self._call(self._set(mode, latency))

    def start(self) -> Self:
        """Listen; raise OSError when the port is taken."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        try:
            self._call(self._listen())
        except OSError:
            self._end_loop()
            raise
        return self

    def stop(self) -> None:
        """Reset every connection and stop listening."""
        self._call(self._close())
        self._end_loop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _listen(self) -> None:
        self._moving = asyncio.Event()
        self._moving.set()
        self._server = await asyncio.start_server(self._forward, HOST, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        # Accept nobody else, and let asyncio finish with whom it has accepted: of a server that is closed before that,
        # it leaves such a connection open. It has its task some turns of the loop later.
        for listener in self._server.sockets:
            self._loop.remove_reader(listener.fileno())
        for _ in range(_TURNS_OF_ACCEPTING):
            await asyncio.sleep(0)
        self._server.close()
        self._reset(*self._writers)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _set(self, mode: Mode, latency: float) -> None:
        self._mode = mode
        self._latency = latency if mode is Mode.LATENCY else 0.0
        if mode is Mode.CUT:
            self._reset(*self._writers)
        if mode is Mode.HANG:
            self._moving.clear()
        else:
            self._moving.set()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        pair = [writer]
        self._writers.add(writer)
        try:
            await self._moving.wait()
            if self._mode is Mode.CUT:
                return
            far_reader, far_writer = await asyncio.open_connection(HOST, self.target)
            pair.append(far_writer)
            self._writers.add(far_writer)
            await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
        except OSError:
            pass  # one side is gone: the other learns it below
        finally:
            self._reset(*pair)
            for each in pair:
                with suppress(OSError):
                    await each.wait_closed()
            self._writers.difference_update(pair)
            self._tasks.discard(task)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK):
            await asyncio.sleep(self._latency)
            await self._moving.wait()
            writer.write(data)
            self.chunks += 1
            await writer.drain()
        await self._moving.wait()
        if writer.can_write_eof() and not writer.is_closing():
            writer.write_eof()

    @staticmethod
    def _reset(*writers: asyncio.StreamWriter) -> None:
        for writer in writers:
            if not writer.is_closing():
                sock: socket.socket = writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
                writer.transport.abort()
