"""Plays `kernapay` for the tests of the stack: the same commands, without KernaPay behind them.

FAKE_FAILS names a command that fails; SIGUSR1 ends a running one with code 7.
"""

import json
import os
import resource
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import FrameType

from pymongo import MongoClient
from redis import Redis

from kernapay.core.parent_watch import watch_parent

SEEN = (
    *("APP_ENV", "HOST", "MONGODB_URL", "REDIS_URL"),
    *("JWT_SECRET", "RAZORPAY_BASE_URL", "FILES_DIR"),
    *("DEV_STACK", "KERNAPAY_DEMO_PASSWORD", "MERCHANT_NAME"),
)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        healthy = self.path in ("/health/live", "/health/ready", "/_sandbox/health")
        self.send_response(200 if healthy else 404)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        print(*arguments, flush=True)


def crash(number: int, frame: FrameType | None) -> None:
    print("the last words of a fake", flush=True)
    os._exit(7)


def serve(port: int) -> None:
    signal.signal(signal.SIGUSR1, crash)
    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    # As Granian has: a worker that nobody ends but its parent, or itself.
    if os.fork() == 0:
        watch_parent()
        Path(os.environ["FAKE_NOTES"], f"worker-{os.getppid()}").write_text(str(os.getpid()))
        signal.pause()
    server.serve_forever()


def main(command: str, *options: str) -> None:
    notes = Path(os.environ["FAKE_NOTES"])
    seen = {name: os.environ.get(name) for name in SEEN}
    open_files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    noted = {"options": options, "env": seen, "open_files": open_files}
    (notes / f"{command}.json").write_text(json.dumps(noted))
    if os.environ.get("FAKE_FAILS") == command:
        sys.exit(f"{command} fails as asked")
    if command == "migrate":
        client: MongoClient[dict[str, object]] = MongoClient(os.environ["MONGODB_URL"])
        with client:
            client.get_default_database().starts.insert_one({})
    elif command == "seed":
        with Redis.from_url(os.environ["REDIS_URL"]) as redis:
            redis.incr("starts")
    elif command == "worker":
        signal.pause()
    else:
        serve(int(options[options.index("--port") + 1]))


if __name__ == "__main__":
    main(*sys.argv[1:])
