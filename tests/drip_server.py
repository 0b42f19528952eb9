"""A server on raw sockets whose answers come byte by byte, or never."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final, Literal, Self

from kernapay.devstack.ports import HOST

Mode = Literal["body", "headers", "silence", "well"]
_PAUSE_SECONDS: Final = 0.1
_HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


class DripServer:
    """Answer every request with `answer`, in the way of `mode`: one byte a moment, nothing, or at once."""

    def __init__(self, answer: bytes = b"{}", mode: Mode = "body") -> None:
        self.answer = answer
        self.mode: Mode = mode
        self.requests = 0
        self._ended = threading.Event()
        self._listener = socket.create_server((HOST, 0), backlog=200)
        self._threads: list[threading.Thread] = []

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        # Wakes `accept`, which closing alone would not.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)

    @contextmanager
    def being(self, mode: Mode) -> Iterator[None]:
        before, self.mode = self.mode, mode
        try:
            yield
        finally:
            self.mode = before

    def _start(self, work: object, *args: object) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while not self._ended.is_set():
                connection, _ = self._listener.accept()
                self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.settimeout(_PAUSE_SECONDS)
            while self._read(connection):
                self.requests += 1
                self._reply(connection)

    def _read(self, connection: socket.socket) -> bool:
        request = b""
        while not self._ended.is_set():
            try:
                received = connection.recv(65_536)
            except TimeoutError:
                continue
            request += received
            head, separator, body = request.partition(b"\r\n\r\n")
            if separator and len(body) >= _length_in(head):
                return True
            if not received:
                return False
        return False

    def _reply(self, connection: socket.socket) -> None:
        head = _HEAD % len(self.answer)
        if self.mode == "well":
            connection.sendall(head + self.answer)
        elif self.mode == "body":
            connection.sendall(head)
            self._drip(connection, self.answer)
        elif self.mode == "headers":
            self._drip(connection, head + self.answer)
        else:
            self._ended.wait()

    def _drip(self, connection: socket.socket, text: bytes) -> None:
        for byte in text:
            if self._ended.wait(_PAUSE_SECONDS):
                return
            connection.sendall(bytes([byte]))


def _length_in(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0
