"""How many orders per second the sandbox creates.

    python -m tests.benchmarks.sandbox_orders [--seconds 10] [--connections 32] [--memory]

The sandbox runs in a process of its own with its books in a file; this process is the load. The
exit code says whether the sandbox is fast enough never to be the bottleneck of a load test.
"""

import argparse
import asyncio
import base64
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

KEY = "rzp_test_kernapay:sandbox_secret_kernapay_0001"
WANTED = 500.0
BODY = b'{"amount": 50000, "currency": "INR", "receipt": "KP_01J8ZQ4T7M6E2V9D3C5B1A0F8G"}'


def request(port: int) -> bytes:
    credentials = base64.b64encode(KEY.encode()).decode()
    head = (
        f"POST /v1/orders HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Basic {credentials}"
        f"\r\nContent-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n"
    )
    return head.encode() + BODY


async def customer(port: int, deadline: float, took: list[float]) -> None:
    """Create one order after the other on one connection, noting how long each took."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    message = request(port)
    while (started := time.perf_counter()) < deadline:
        writer.write(message)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        if not head.startswith(b"http/1.1 200"):
            raise SystemExit(f"the sandbox refused: {head.decode()}")
        length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        took.append(time.perf_counter() - started)
    writer.close()


async def load(port: int, seconds: float, connections: int) -> list[float]:
    took: list[float] = []
    deadline = time.perf_counter() + seconds
    await asyncio.gather(*(customer(port, deadline, took) for _ in range(connections)))
    return took


def start(data: Path | None) -> tuple["subprocess.Popen[bytes]", int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    environ = {k: v for k, v in os.environ.items() if not k.startswith("SANDBOX_")}
    options = ["--port", str(port), *(["--data", str(data)] if data else [])]
    process = subprocess.Popen(
        [sys.executable, "-m", "kernapay.sandbox", *options],
        env=environ,
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return process, port
        time.sleep(0.02)
    process.kill()
    raise SystemExit("the sandbox did not start")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--memory", action="store_true", help="keep no file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        process, port = start(None if options.memory else Path(home, "books.sqlite"))
        try:
            asyncio.run(load(port, 1, options.connections))  # warm up
            took = sorted(asyncio.run(load(port, options.seconds, options.connections)))
        finally:
            process.terminate()
            process.wait(10)
    rate = len(took) / options.seconds
    where = "in memory" if options.memory else "on disk, durable before each answer"
    print(f"{rate:,.0f} orders/s {where}, {options.connections} connections, {len(took)} orders")
    print(
        f"median {took[len(took) // 2] * 1000:.1f} ms, 99 % {took[len(took) * 99 // 100] * 1000:.1f} ms"
    )
    print("fast enough" if rate >= WANTED else f"too slow: {WANTED:.0f} wanted")
    return 0 if rate >= WANTED else 1


if __name__ == "__main__":
    sys.exit(main())
