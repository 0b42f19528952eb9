"""HTTP as attackers write it: methods, targets and headers go out as they are, and fast."""

import json
import socket
from collections.abc import Iterable, Mapping
from contextlib import suppress
from io import BufferedReader
from types import TracebackType
from typing import Any, NamedTuple, Self

import msgspec

from kernapay.devstack.ports import HOST
from tests.plain_http import BrokenAnswer, is_closed, read_body, read_head


class Answer(NamedTuple):
    status: int
    """0 where the server hung up without a word."""
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def problem(self) -> dict[str, Any]:
        """Return the document of a refusal, without what differs from request to request."""
        assert self.headers["content-type"] == "application/problem+json", self
        return {name: value for name, value in self.json().items() if name != "requestId"}


Headers = Iterable[tuple[str, str]]
JSON = ("Content-Type", "application/json")


class Wire:
    """A connection that is kept, and opened anew when the server closes it."""

    def __init__(self, port: int, token: str | None = None) -> None:
        self._port = port
        self.headers = (("Authorization", f"Bearer {token}"),) if token else ()
        self._socket: socket.socket | None = None
        self._reader: BufferedReader | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def ask(self, method: str, target: str, headers: Headers = (), body: bytes = b"") -> Answer:
        """Send it as it is; text is written as UTF-8, `\\udc80` to `\\udcff` as the single byte."""
        lines = [f"{method} {target} HTTP/1.1", "Host: kernapay", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in (*self.headers, *headers)]
        return self.send("\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + body)

    def send(self, request: bytes) -> Answer:
        if self._socket is not None and is_closed(self._socket):
            # Idle for too long, as on a busy machine.
            self.close()
        if self._socket is None or self._reader is None:
            self._socket = socket.create_connection((HOST, self._port), timeout=20)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._reader = self._socket.makefile("rb")
        method = request.partition(b" ")[0].decode("latin-1")
        with suppress(OSError):  # refused before it was read to its end; the answer may be there
            self._socket.sendall(request)
        try:
            head = read_head(self._reader)
            body = b"".join(read_body(self._reader, head, method))
        except (BrokenAnswer, OSError, ValueError):
            self.close()
            return Answer(0, {}, b"")
        if head.closes:
            self.close()
        headers = {
            name.lower().decode("latin-1"): value.decode("latin-1") for name, value in head.headers
        }
        return Answer(head.status, headers, body)

    def post(self, method: str, target: str, document: Any, headers: Headers = ()) -> Answer:
        """Send JSON; a text may hold what UTF-8 cannot, such as half a character."""
        return self.ask(method, target, (*headers, JSON), json.dumps(document).encode())
