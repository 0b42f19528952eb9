"""Carry out the faults that strike an answer on its way to the client."""

import asyncio
import os
import socket
import stat
import struct
from typing import Any

import msgspec
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from kernapay.sandbox.errors import RazorpayError, not_applicable, server_error
from kernapay.sandbox.faults import CATALOGUE, Faults

ANSWER_FAULTS = tuple(name for name, kind in CATALOGUE.items() if kind.strikes == "answer")
OWN_ROUTES = ("/_sandbox", "/checkout", "/v1/checkout")
HTML = b"""<html>
<head><title>502 Bad Gateway</title></head>
<body><center><h1>502 Bad Gateway</h1></center></body>
</html>
"""
RATE_LIMITED = not_applicable("Request failed. Please try after sometime.", 429)


class Disruption:
    """ASGI middleware around the REST API; other routes are hit only by faults naming them."""

    def __init__(self, app: ASGIApp, faults: Faults) -> None:
        self._app = app
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP or scope["path"].startswith(OWN_ROUTES):
            await self._app(scope, receive, send)
            return
        path, method = scope["path"], scope["method"]
        anywhere = path.startswith("/v1/")
        found = self._faults.strike(ANSWER_FAULTS, method=method, route=path, anywhere=anywhere)
        struck = {fault.name: fault for fault in found}
        if "reset" in struck:
            cut(scope)
            await respond(send, 503, b"")
        elif "rate_limit" in struck:
            await refuse(send, RATE_LIMITED)
        elif "server_error" in struck:
            await refuse(send, server_error())
        elif "bad_gateway_html" in struck:
            await respond(send, 502, HTML, b"text/html")
        elif not struck:
            await self._app(scope, receive, send)
        else:
            held = Held()
            await self._app(scope, receive, held)
            if (delay := struck.get("delay")) is not None:
                await asyncio.sleep(float(delay.options["seconds"]))
            if (wrong := struck.get("wrong_amount")) is not None:
                held.falsify(int(wrong.options["by"]))
            if (lost := struck.get("answer_lost")) is not None:
                await asyncio.sleep(float(lost.options["seconds"]))
                cut(scope)
            await held.release(send)


class Held:
    """An answer kept back."""

    def __init__(self) -> None:
        self._start: Any = None
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
        elif message["type"] == "http.response.body":
            self._body += message["body"]

    def falsify(self, by: int) -> None:
        """Change the amount, also of what is in a list; leave refusals alone."""
        if self._start["status"] != 200:
            return
        view = msgspec.json.decode(self._body)
        for item in view.get("items", [view]):
            if isinstance(item.get("amount"), int):
                item["amount"] += by
        self._body = msgspec.json.encode(view)
        self._start["headers"] = [
            (name, b"%d" % len(self._body) if name.lower() == b"content-length" else value)
            for name, value in self._start["headers"]
        ]

    async def release(self, send: Send) -> None:
        await send(self._start)
        await send({"type": "http.response.body", "body": self._body, "more_body": False})


async def refuse(send: Send, error: RazorpayError) -> None:
    await respond(send, error.status, msgspec.json.encode(error.body))


async def respond(
    send: Send, status: int, body: bytes, media_type: bytes = b"application/json"
) -> None:
    headers = [(b"content-type", media_type), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def cut(scope: Scope) -> None:
    """Break the client's connection under the server, which has no call for it.

    The socket is found among the process's own by the client's address. What the server
    writes afterwards goes nowhere.
    """
    client = scope["client"]
    if client is None:
        return
    wanted = (str(client[0]), str(client[1]))
    for name in os.listdir("/dev/fd"):
        try:
            number = int(name)
            if not stat.S_ISSOCK(os.fstat(number).st_mode):
                continue
            found = socket.socket(fileno=os.dup(number))
        except OSError:
            continue
        with found:
            try:
                host, port = found.getpeername()[:2]
            except (OSError, ValueError):
                continue
            if (str(host), str(port)) == wanted:
                # No lingering: whoever still waits sees a reset, not an orderly end.
                found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                found.shutdown(socket.SHUT_RDWR)
                return
