"""The system of a business: it receives events, and answers as a test says."""

import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple, Self

from standardwebhooks.webhooks import Webhook

from kernapay.devstack.ports import HOST


class Received(NamedTuple):
    path: str
    headers: Mapping[str, str]
    """By their names in lower case."""
    body: bytes
    at: float

    @property
    def event_id(self) -> str:
        return self.headers["webhook-id"]

    def verify(self, secret: str) -> None:
        """Raise WebhookVerificationError unless the secret signed it."""
        Webhook(secret).verify(self.body, dict(self.headers), json_parse=False)


class Reply(NamedTuple):
    status: int = 200
    body: bytes = b"ok"
    headers: Mapping[str, str] = {}
    delay: float = 0.0


Answer = Callable[[Received], Reply]


class Receiver:
    """Record every request, and answer it with `answer`, or with 200."""

    def __init__(self) -> None:
        self.answer: Answer = lambda _: Reply()
        self.received: list[Received] = []
        self.closing = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = 65_536

            def do_POST(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                body = self.rfile.read(int(headers["content-length"]))
                received = Received(self.path, headers, body, time.monotonic())
                receiver.received.append(received)
                reply = receiver.answer(received)
                receiver.closing.wait(reply.delay)
                self.send_response(reply.status)
                for name, value in {
                    "Content-Length": str(len(reply.body)),
                    **reply.headers,
                }.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(reply.body)

            def handle(self) -> None:
                try:
                    super().handle()
                except ConnectionError:
                    return  # cut off by the sender

            def log_message(self, *_: object) -> None:
                """The requests are recorded."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 1000

        self._server = Server((HOST, 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def ids(self, path: str | None = None) -> list[str]:
        """Return the ids of the events that came, in order."""
        return [each.event_id for each in list(self.received) if path in (None, each.path)]
