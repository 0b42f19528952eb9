"""Decide whether the host of a URL is this machine."""

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

_LOOPBACK: Final = {"localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback"}
# What containers call the machine that runs them.
_HOST_MACHINE: Final = {
    "host.docker.internal",
    "host.containers.internal",
    "gateway.docker.internal",
}


def is_loopback(host: str) -> bool:
    """Return whether a request to the host stays on this machine, without asking DNS."""
    name = _normalise(host)
    address = _address(name)
    if address is None:
        return name in _LOOPBACK or name.endswith(".localhost")
    # A connection to 0.0.0.0 or :: reaches this machine too.
    return address.is_loopback or address.is_unspecified


def is_this_machine(host: str) -> bool:
    """Return whether the host is this machine by any of its names and addresses, without asking DNS."""
    name = _normalise(host)
    if is_loopback(name) or name in _HOST_MACHINE or name == socket.gethostname().lower():
        return True
    address = _address(name)
    return address is not None and _is_own(address)


def _normalise(host: str) -> str:
    return host.lower().rstrip(".")


def _address(name: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(name)
    except ValueError:
        try:
            # Clients also take 127.1, 2130706433 and 0x7f000001.
            address = ip_address(socket.inet_aton(name))
        except (OSError, ValueError):
            return None
    return getattr(address, "ipv4_mapped", None) or address


def _is_own(address: IPv4Address | IPv6Address) -> bool:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((str(address), 0))
        except OSError:
            return False
    return True
