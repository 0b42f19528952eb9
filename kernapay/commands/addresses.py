"""Addresses to listen on, checked before a server starts."""

import errno
import socket

import click


class CannotListen(click.ClickException):
    """The address cannot be listened on. The message contains the reason and a fix."""


def check_address(host: str, port: int, host_setting: str, port_setting: str) -> None:
    """Raise CannotListen for an address that is taken or does not belong to this machine.

    Granian listens with SO_REUSEPORT, so it would share a taken port with another server. `host_setting` and
    `port_setting` say where the two were set.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            # Allow a restart while closed connections are still in TIME_WAIT.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except UnicodeError as error:
        raise CannotListen(
            f"The host is neither a host name nor an IP address. Fix: check {host_setting}."
        ) from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise CannotListen(
                f"port {port} is taken on {host}. Fix: stop the program that uses it, or set {port_setting}."
            ) from error
        raise CannotListen(
            f"{host} port {port} cannot be listened on ({error.strerror}). "
            f"Fix: check {host_setting}, and {port_setting}."
        ) from error
