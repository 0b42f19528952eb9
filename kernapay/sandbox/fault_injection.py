"""Inject the faults that change or replace a response."""

import asyncio
import os
import socket
import stat
import struct
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from kernapay.sandbox.entities import Fault
from kernapay.sandbox.errors import RazorpayError, not_applicable, server_error
from kernapay.sandbox.faults import CATALOGUE, Faults

RESPONSE_FAULTS = tuple(name for name, kind in CATALOGUE.items() if kind.target == "answer")
EXEMPT_PATHS = ("/_sandbox", "/checkout", "/v1/checkout")
BAD_GATEWAY_HTML = b"""<html>
<head><title>502 Bad Gateway</title></head>
<body><center><h1>502 Bad Gateway</h1></center></body>
</html>
"""
PROXY_HTML = b"<html><body><h1>STATUS</h1><p>An intermediary answered.</p></body></html>\n"
# Until then the server has sent what it was given.
FLUSH_SECONDS = 0.1
REFUSED = not_applicable("The payment id field is required.")
RATE_LIMITED = not_applicable("Request failed. Please try after sometime.", 429)


class FaultInjectionMiddleware:
    """ASGI middleware for the REST API. Other routes need a fault that names them."""

    def __init__(self, app: ASGIApp, faults: Faults) -> None:
        self._app = app
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP or scope["path"].startswith(EXEMPT_PATHS):
            await self._app(scope, receive, send)
            return
        path, method = scope["path"], scope["method"]
        is_api = path.startswith(("/v1/", "/v2/"))
        taken = self._faults.take_all(
            RESPONSE_FAULTS, method=method, route=path, include_unrouted=is_api
        )
        faults = {fault.name: fault for fault in taken}
        if "reset" in faults:
            reset_connection(scope)
            await send_response(send, 503, b"")
        elif "rate_limit" in faults:
            await send_error(send, RATE_LIMITED)
        elif "refused" in faults:
            await send_error(send, REFUSED)
        elif "server_error" in faults:
            await send_error(send, server_error())
        elif "bad_gateway_html" in faults:
            await send_response(send, 502, BAD_GATEWAY_HTML, b"text/html")
        elif (other := faults.get("proxy_page") or faults.get("refusal")) is not None:
            if other.options["carried_out"]:
                await self._app(scope, receive, BufferedResponse())
            await send_other(send, other)
        elif not faults:
            await self._app(scope, receive, send)
        else:
            response = BufferedResponse()
            await self._app(scope, receive, response)
            if (delay := faults.get("delay")) is not None:
                await asyncio.sleep(delay.seconds)
            if (wrong_amount := faults.get("wrong_amount")) is not None:
                response.change_amounts(int(wrong_amount.options["by"]))
            if "odd_entity" in faults:
                response.make_odd()
            if (wrong_status := faults.get("wrong_status")) is not None:
                response.change_status(str(wrong_status.options["value"]))
            if (answer_lost := faults.get("answer_lost")) is not None:
                await asyncio.sleep(answer_lost.seconds)
                reset_connection(scope)
            if "cut_body" in faults:
                await response.send_half_to(send)
                reset_connection(scope)
            elif (drip := faults.get("drip")) is not None:
                await response.drip_to(send, drip.seconds)
            else:
                await response.send_to(send)


class BufferedResponse:
    """Take the place of an ASGI `send` and keep the response until `send_to`."""

    def __init__(self) -> None:
        self._start: Any = None
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
        elif message["type"] == "http.response.body":
            self._body += message["body"]

    def change_amounts(self, by: int) -> None:
        """Add to the amount of the entity, or of each entity in a list."""

        def change(item: dict[str, Any]) -> None:
            if isinstance(item.get("amount"), int):
                item["amount"] += by

        self._change_entities(change)

    def change_status(self, status: str) -> None:
        def change(item: dict[str, Any]) -> None:
            item["status"] = status
            if "captured" in item:
                item["captured"] = False

        self._change_entities(change)

    def make_odd(self) -> None:
        """Put text into the amount of the entity, or of a list's first one."""

        def change(item: dict[str, Any]) -> None:
            item["amount"] = "much"

        self._change_entities(change, most=1)

    def _change_entities(
        self, change: Callable[[dict[str, Any]], None], most: int | None = None
    ) -> None:
        """Change the entity, or each entity in a list, or `most` of them. Leave errors alone."""
        if self._start["status"] != 200:
            return
        view = msgspec.json.decode(self._body)
        for item in view.get("items", [view])[:most]:
            change(item)
        self._body = msgspec.json.encode(view)
        self._start["headers"] = [
            (name, b"%d" % len(self._body) if name.lower() == b"content-length" else value)
            for name, value in self._start["headers"]
        ]

    async def send_to(self, send: Send) -> None:
        await send(self._start)
        await send({"type": "http.response.body", "body": self._body, "more_body": False})

    async def send_half_to(self, send: Send) -> None:
        half = self._body[: len(self._body) // 2]
        await send(self._start)
        await send({"type": "http.response.body", "body": half, "more_body": True})
        await asyncio.sleep(FLUSH_SECONDS)

    async def drip_to(self, send: Send, pause: float) -> None:
        await send(self._start)
        for byte in self._body:
            await asyncio.sleep(pause)
            await send({"type": "http.response.body", "body": bytes([byte]), "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def send_other(send: Send, fault: Fault) -> None:
    """Send what the fault says instead of the response."""
    status = int(fault.options["status"])
    if fault.name == "refusal":
        texts = {name: str(fault.options[name]) for name in ("code", "description", "reason")}
        error = {**texts, "source": "NA", "step": "NA", "metadata": {}}
        await send_response(send, status, msgspec.json.encode({"error": error}))
        return
    body = PROXY_HTML.replace(b"STATUS", b"%d" % status)
    location = [(b"location", b"https://proxy.example/login")] if 300 <= status < 400 else []
    await send_response(send, status, body, b"text/html", location)


async def send_error(send: Send, error: RazorpayError) -> None:
    await send_response(send, error.status, msgspec.json.encode(error.body))


async def send_response(
    send: Send,
    status: int,
    body: bytes,
    media_type: bytes = b"application/json",
    more_headers: Sequence[tuple[bytes, bytes]] = (),
) -> None:
    headers = [
        (b"content-type", media_type),
        (b"content-length", b"%d" % len(body)),
        *more_headers,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def reset_connection(scope: Scope) -> None:
    """Reset the client's TCP connection. What the server writes afterwards is lost.

    ASGI has no call for this, so look for the socket with the client's address among the open
    files of this process.
    """
    client = scope["client"]
    if client is None:
        return
    client_address = (str(client[0]), str(client[1]))
    for name in os.listdir("/dev/fd"):
        try:
            descriptor = int(name)
            if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                continue
            candidate = socket.socket(fileno=os.dup(descriptor))
        except OSError:
            continue  # closed since it was listed
        with candidate:
            try:
                host, port = candidate.getpeername()[:2]
            except (OSError, ValueError):
                continue  # a listening or a Unix socket
            if (str(host), str(port)) == client_address:
                # Without lingering the client sees a reset, not an orderly end.
                candidate.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                candidate.shutdown(socket.SHUT_RDWR)
                return
