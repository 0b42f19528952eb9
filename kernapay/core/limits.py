"""Limits of the operating system for this process and its connections."""

import os
import resource
import socket
import stat
from typing import Final

# Enough for every connection that a process accepts. More would slow down programs that close all numbers below it.
_OPEN_FILES: Final = 65_536
# Beside live streams.
_CONNECTIONS: Final = 4096
_FEWEST_CONNECTIONS: Final = 128


def raise_open_files() -> int:
    """Raise the soft limit for open files to the hard limit, at most 65,536. Return the limit that holds now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
    if soft == resource.RLIM_INFINITY or soft >= most:
        return _OPEN_FILES if soft == resource.RLIM_INFINITY else soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    except (OSError, ValueError):  # macOS has a further limit, which it does not name here
        return soft
    return most


def most_connections(streams: int, open_files: int) -> int:
    """Return how many connections a worker may have, if so many of them are to be live streams.

    The server counts idle ones too. At the limit it accepts none, also none of a health check.
    """
    return min(_CONNECTIONS + streams, max(_FEWEST_CONNECTIONS, open_files // 2))


def most_streams(wanted: int, open_files: int) -> int:
    """Return how many live streams a worker may have, so that others can still connect."""
    connections = most_connections(wanted, open_files)
    return min(wanted, max(connections - _CONNECTIONS, connections // 2))


def close_stalled_connections(seconds: float) -> bool:
    """Let the kernel close a connection whose peer takes no data for this long. Linux only; elsewhere do nothing.

    It is set on the listening sockets of this process: what they accept from now on inherits it. The server has no
    limit of its own for writing, and cannot end a connection while it waits for the peer.
    Return False if there is no listening socket yet.
    """
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    if option is None or not os.path.isdir("/proc/self/fd"):
        return True
    milliseconds = int(seconds * 1000)
    # Every one: any() would stop at the first.
    found = [_limit(int(name), option, milliseconds) for name in os.listdir("/proc/self/fd")]
    return any(found)


def _limit(descriptor: int, option: int, milliseconds: int) -> bool:
    """Set the option if the descriptor is a listening socket. Return whether it is."""
    try:
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            return False
        copy = os.dup(descriptor)
    except OSError:  # closed meanwhile
        return False
    try:
        listener = socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        return False
    with listener:
        is_listening = bool(listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
        if is_listening and listener.family in (socket.AF_INET, socket.AF_INET6):
            listener.setsockopt(socket.IPPROTO_TCP, option, milliseconds)
            return True
        return False
