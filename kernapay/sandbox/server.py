"""Serve the sandbox with Granian inside this process."""

import asyncio
import signal
import socket
import sys

import click
import uvloop
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server

from kernapay.sandbox.app import create_app
from kernapay.sandbox.config import SandboxConfig
from kernapay.sandbox.journal import JournalError


class CannotStart(Exception):
    """The port or the file is in use."""


def run(config: SandboxConfig, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT; raise CannotStart if the port or the file is in use."""
    refuse_taken_port(host, port)
    uvloop.run(serve(config, host, port))


async def serve(config: SandboxConfig, host: str, port: int) -> None:
    try:
        app = create_app(config)
    except JournalError as problem:
        raise CannotStart(str(problem)) from None
    # One process on purpose: the books are in its memory, and killing it leaves nothing behind.
    server = Server(
        app,
        address=host,
        port=port,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        websockets=False,
        log_enabled=False,
        backlog=1024,
    )
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, server.stop)
    greeting = loop.create_task(greet(config, host, port))
    try:
        await server.serve()
    finally:
        greeting.cancel()


def refuse_taken_port(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as problem:
            raise CannotStart(f"Cannot listen on {host}:{port}: {problem.strerror}.") from None


async def greet(config: SandboxConfig, host: str, port: int) -> None:
    """Say where everything is, once it can be reached."""
    reachable = "127.0.0.1" if host == "0.0.0.0" else host  # noqa: S104
    while True:
        try:
            _, writer = await asyncio.open_connection(reachable, port)
        except OSError:
            await asyncio.sleep(0.01)
        else:
            writer.close()
            break
    address = f"http://{reachable}:{port}"
    key_id = config.first_key
    # A terminal is read by whoever started it; a log is kept, and read by others.
    secret = config.keys[key_id] if sys.stdout.isatty() else "<its secret in SANDBOX_KEYS>"
    click.echo(
        f"""
KernaPay sandbox: a Razorpay on this machine
  API        {address}/v1          key {key_id}  secret {secret}
  Page       {address}/            orders, payments, webhooks, faults
  Checkout   {address}/v1/checkout.js
  Books      {config.data or "in memory"}

Try   curl -u '{key_id}:{secret}' {address}/v1/orders \\
           -d amount=50000 -d currency=INR
      curl {address}/_sandbox/pay -d '{{"order_id": "<the id>", "method": "upi"}}'
Ctrl-C stops it."""
    )
