"""Streams of an application on the test's own event loop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import msgspec
from litestar import Litestar

from kernapay.bootstrap.services import Services
from tests.actors import PAYMENTS


class Message(NamedTuple):
    name: str
    id: int | None
    data: dict[str, Any]


class OpenStream:
    """An answer, as far as it has come."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self.is_ended = asyncio.Event()
        self._moved = asyncio.Event()
        self.left = asyncio.Event()

    @property
    def messages(self) -> list[Message]:
        found = []
        for block in self.body.decode().split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.splitlines() if line[:1] != ":")
            if "event" in fields:
                index = int(fields["id"]) if "id" in fields else None
                found.append(Message(fields["event"], index, msgspec.json.decode(fields["data"])))
        return found

    @property
    def heartbeats(self) -> int:
        return self.body.count(b": still here")

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            pairs = message["headers"]
            self.headers = {name.decode().lower(): value.decode() for name, value in pairs}
        else:
            self.body += message.get("body", b"")
            if not message.get("more_body", False):
                self.is_ended.set()
        self._moved.set()

    async def receive(self) -> Any:
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def until(self, count: int, within: float = 30) -> list[Message]:
        """Return the messages as soon as there are so many."""
        async with asyncio.timeout(within):
            while len(self.messages) < count:
                self._moved.clear()
                await self._moved.wait()
        return self.messages


class LiveApp:
    def __init__(self, app: Litestar, services: Services) -> None:
        self.app = app
        self.services = services

    @asynccontextmanager
    async def follow(
        self, reference_id: str, *, token: str | None = None, method: str = "GET", **headers: str
    ) -> AsyncIterator[OpenStream]:
        """Open a stream; the client goes away when the block ends."""
        stream = OpenStream()
        given = {"host": "in-process", **headers}
        if token is not None:
            given["authorization"] = f"Bearer {token}"
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": f"{PAYMENTS}/{reference_id}/events",
            "raw_path": b"",
            "query_string": b"",
            "root_path": "",
            "headers": [(n.replace("_", "-").encode(), v.encode()) for n, v in given.items()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 2),
            "state": {},
        }
        call: Any = self.app
        task = asyncio.get_running_loop().create_task(call(scope, stream.receive, stream.send))
        try:
            yield stream
        finally:
            stream.left.set()
            async with asyncio.timeout(10):
                await task
