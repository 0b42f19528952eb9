"""Answer `HEAD` wherever there is `GET`, and list the methods of a path in `Allow`."""

import asyncio
from collections.abc import Iterable
from typing import Any, Final

from litestar import Litestar
from litestar.routes import HTTPRoute
from litestar.types import Message, Receive, Send

_ALLOW: Final = b"allow"

Headers = Iterable[tuple[bytes, bytes]]


class AllowedMethods:
    """The methods of every path, for the `Allow` header of 405 and of each answer to OPTIONS."""

    def __init__(self, app: Litestar) -> None:
        self._by_path: dict[str, set[str]] = {}
        for route in app.routes:
            if isinstance(route, HTTPRoute):
                self._by_path.setdefault(route.path_format, set()).update(map(str, route.methods))

    def add_to(self, headers: Headers, path_template: str | None) -> list[tuple[bytes, bytes]]:
        """Return the headers with a complete `Allow`.

        Without the path's template, which a 405 does not have, complete what the router wrote.
        """
        methods = set(self._by_path.get(path_template or "", ()))
        others = []
        for name, value in headers:
            if name.lower() == _ALLOW:
                methods.update(value.decode().replace(" ", "").split(","))
            else:
                others.append((name, value))
        return [*others, (_ALLOW, _listed(methods))] if methods else others


def _listed(methods: set[str]) -> bytes:
    methods.add("OPTIONS")
    if "GET" in methods:
        methods.add("HEAD")
    return ", ".join(sorted(methods)).encode()


def head_only(send: Send) -> tuple[Receive, Send]:
    """Return `receive` and `send` for an application that answers HEAD as if it were GET.

    Its answer goes out without a body. A stream is told that nobody listens, so that it ends after its first chunk.
    """
    is_sent = asyncio.Event()

    async def receive() -> Any:
        await is_sent.wait()
        return {"type": "http.disconnect"}

    async def send_head(message: Message) -> None:
        if message["type"] == "http.response.start":
            await send(message)
        elif message["type"] == "http.response.body" and not is_sent.is_set():
            is_sent.set()
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    return receive, send_head
