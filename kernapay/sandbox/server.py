"""Serve the sandbox with Granian in this process."""

import asyncio
import signal
import socket

import click
import uvloop
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server

from kernapay.sandbox.app import create_app
from kernapay.sandbox.config import SandboxConfig
from kernapay.sandbox.database import DatabaseError


class StartError(Exception):
    """The port or the file cannot be used."""


def run(config: SandboxConfig, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT. Raise StartError if the port or the file is in use."""
    check_port(host, port)
    uvloop.run(serve(config, host, port))


async def serve(config: SandboxConfig, host: str, port: int) -> None:
    try:
        app = create_app(config)
    except DatabaseError as error:
        raise StartError(str(error)) from None
    # One process, because the rows are in its memory and a kill must leave no child process.
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
    banner = loop.create_task(print_banner(config, host, port))
    try:
        await server.serve()
    finally:
        banner.cancel()


def check_port(host: str, port: int) -> None:
    """Raise StartError if the port is in use or not allowed."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise StartError(
                f"Cannot listen on {host}:{port}: {error.strerror}. Choose another --port."
            ) from None


async def print_banner(config: SandboxConfig, host: str, port: int) -> None:
    """Wait until the port accepts connections, then print the addresses."""
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
    # Not the secret: others may see the screen or read the log.
    click.echo(
        f"""
KernaPay sandbox: a simulator of Razorpay
  API        {address}/v1          key {key_id}  secret in --key or SANDBOX_KEYS (default: see --help)
  Page       {address}/            orders, payments, webhooks, faults
  Checkout   {address}/v1/checkout.js
  Data       {config.data or "in memory"}

Try   curl -u '{key_id}:<its secret>' {address}/v1/orders \\
           -d amount=50000 -d currency=INR
      curl {address}/_sandbox/pay -d '{{"order_id": "<the id>", "method": "upi"}}'
Press Ctrl-C to stop it."""
    )
