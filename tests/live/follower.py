"""A client of live streams, which reads in a thread."""

import contextlib
import socket
import threading
from collections.abc import Mapping
from http.client import HTTPException, HTTPResponse
from queue import Empty, Queue
from time import monotonic
from typing import Any, NamedTuple, Self

import msgspec

from kernapay.devstack.ports import HOST
from tests.actors import PAYMENTS


class Event(NamedTuple):
    name: str
    id: int | None
    data: dict[str, Any]
    at: float
    """When it arrived, by `monotonic`."""

    @property
    def status(self) -> str:
        return str(self.data["status"])


class Follower:
    """Follows a payment until the stream or the block ends."""

    def __init__(
        self,
        port: int,
        reference_id: str,
        token: str | None = None,
        last: object = None,
        headers: Mapping[str, str] | None = None,
        path: str = "/events",
    ) -> None:
        given = {
            "Host": HOST,
            "Accept": "text/event-stream",
            **({} if token is None else {"Authorization": f"Bearer {token}"}),
            **({} if last is None else {"Last-Event-ID": str(last)}),
            **(headers or {}),
        }
        lines = [f"GET {PAYMENTS}/{reference_id}{path} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in given.items()]
        self._request = "\r\n".join(lines).encode() + b"\r\n\r\n"
        self._socket = socket.create_connection((HOST, port), timeout=30)
        self._events: Queue[Event] = Queue()
        self._thread: threading.Thread | None = None
        self.heartbeats = 0
        self.retries: list[int] = []
        """What the server said in `retry`, in milliseconds."""
        self.is_ended = threading.Event()

    def __enter__(self) -> Self:
        self._socket.sendall(self._request)
        self._response = HTTPResponse(self._socket)
        self._response.begin()
        self.status = self._response.status
        self.headers = {name.lower(): value for name, value in self._response.getheaders()}
        self.body = b""
        if self.status == 200:
            self._socket.settimeout(None)
            self._thread = threading.Thread(target=self._read, daemon=True)
            self._thread.start()
        else:
            self.body = self._response.read()
            self.is_ended.set()
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def leave(self) -> None:
        """Go away without a word."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        if self._thread is not None:
            self._thread.join(10)
        self._socket.close()

    def next(self, within: float = 30) -> Event:
        """Return the next event; raise AssertionError if there is none in so many seconds."""
        try:
            return self._events.get(timeout=within)
        except Empty:
            raise AssertionError(f"no event in {within} s") from None

    def rest(self, within: float = 30) -> list[Event]:
        """Return all further events, when the stream has ended."""
        assert self.is_ended.wait(within), f"the stream goes on after {within} s"
        return [self._events.get() for _ in range(self._events.qsize())]

    def is_silent(self) -> bool:
        return self._events.empty()

    def _read(self) -> None:
        fields: dict[str, str] = {}
        try:
            for raw in self._response:
                line = raw.decode().rstrip("\n")
                if line.startswith(":"):
                    self.heartbeats += 1
                elif line:
                    name, _, value = line.partition(": ")
                    assert name not in fields, fields
                    fields[name] = value
                elif fields:
                    self._note(fields)
                    fields = {}
        except (OSError, HTTPException, ValueError):
            pass  # cut, by one side or the other
        finally:
            self.is_ended.set()

    def _note(self, fields: dict[str, str]) -> None:
        if "retry" in fields:
            self.retries.append(int(fields["retry"]))
        if "event" in fields:
            index = int(fields["id"]) if "id" in fields else None
            data = msgspec.json.decode(fields["data"])
            self._events.put(Event(fields["event"], index, data, monotonic()))
