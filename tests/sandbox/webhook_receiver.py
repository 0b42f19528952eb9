"""An endpoint that receives the sandbox's webhooks."""

import json
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

from tests.sandbox.sandbox_process import wait_for


class ReceivedWebhook(NamedTuple):
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> str:
        return str(json.loads(self.body)["event"])

    @property
    def signature(self) -> str:
        return self.headers["x-razorpay-signature"]

    @property
    def event_id(self) -> str:
        return self.headers["x-razorpay-event-id"]


class WebhookReceiver(ThreadingHTTPServer):
    """Record every webhook and respond with the next of `statuses`, or with `default_status`.

    A status of None means no response.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), WebhookHandler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}/hooks"
        self.webhooks: list[ReceivedWebhook] = []
        self.statuses: deque[int | None] = deque()
        self.default_status: int = 200
        self.closing = threading.Event()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def events(self) -> list[str]:
        return [webhook.event for webhook in self.webhooks]

    def wait_for(self, count: int) -> list[ReceivedWebhook]:
        """Return the first webhooks as soon as there are so many."""
        wait_for(lambda: len(self.webhooks) >= count)
        return self.webhooks[:count]

    def close(self) -> None:
        self.closing.set()
        self.shutdown()
        self.server_close()


class WebhookHandler(BaseHTTPRequestHandler):
    server: WebhookReceiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        server = self.server
        status = server.statuses.popleft() if server.statuses else server.default_status
        server.webhooks.append(ReceivedWebhook(headers, body))
        if status is None:
            server.closing.wait(30)
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        pass
