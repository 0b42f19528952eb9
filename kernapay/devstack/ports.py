"""Free TCP ports on the loopback address."""

import os
import socket
from collections.abc import Container, Iterator
from itertools import count, islice

HOST = "127.0.0.1"
# Below the range for source ports of outgoing connections: while a server restarts, no connection takes its port.
ANY = range(20000, 30000)


def _own_ports() -> Iterator[int]:
    # Nobody else may choose a port between its choice and its use. So each port is returned only once, and concurrent
    # processes start far apart.
    return (ANY[(os.getpid() * 97 + number) % len(ANY)] for number in count())


_ports = _own_ports()


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        # The servers set this too: a port in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    # Some systems let a second socket bind beside a listener on all addresses.
    return not is_listening(port)


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == 0


def free_port(preferred: int | None = None, avoid: Container[int] = ()) -> int:
    """Return the preferred port, or the next free one above it. Without a preference, return any free port."""
    candidates = range(preferred, 65536) if preferred is not None else islice(_ports, len(ANY))
    for port in candidates:
        if port not in avoid and is_free(port):
            return port
    raise OSError(f"No port from {preferred or ANY.start} up is free.")
