"""Decide which URLs an endpoint may have, and which network addresses may be connected to: no private ones.

A URL is judged by its text when it is stored. The address behind its name is judged when a socket is made for it, after
the one look-up, so that a name cannot lead elsewhere in between: see `deliveries/transport.py`.
"""

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final, NamedTuple

from kernapay.config.allowed_hosts import AllowedHost
from kernapay.core.errors import InvalidInput

Address = IPv4Address | IPv6Address

# `ipaddress.is_global` is no filter: it takes multicast and NAT64, and differs between versions of Python.
_REFUSED_4: Final = tuple(
    IPv4Network(each)
    for each in (
        "0.0.0.0/8",  # this network; 0.0.0.0 is the machine itself
        "10.0.0.0/8",
        "100.64.0.0/10",  # providers' networks; Alibaba's metadata is here
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's own services for a machine, at a public address
        "169.254.0.0/16",  # link-local, with the metadata of most clouds
        "172.16.0.0/12",
        "192.0.0.0/24",  # with Oracle's metadata
        "192.0.2.0/24",
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",
    )
)
# Everything else is loopback, private, link-local, multicast, or carries an IPv4 address: mapped, NAT64.
_GLOBAL_6: Final = IPv6Network("2000::/3")
_REFUSED_6: Final = tuple(
    IPv6Network(each)
    for each in (
        "2001::/23",  # Teredo, ORCHID, and what else the protocols reserve
        "2001:db8::/32",
        "2002::/16",  # 6to4: an IPv4 address is inside
        "3fff::/20",
        "5f00::/16",
    )
)

MAX_LENGTH: Final = 2000
_URL: Final = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<rest>(?:/(?:[a-z0-9._~!$&'()*+,;=:@/-]|%[0-9a-f]{2})*)?"
    r"(?:\?(?:[a-z0-9._~!$&'()*+,;=:@/?-]|%[0-9a-f]{2})*)?)",
    re.IGNORECASE | re.ASCII,
)
# The last label begins with a letter: what does not is a number, which is another way to write an address.
_NAME: Final = re.compile(
    r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?"
)
_STANDARD_PORTS: Final = {"http": 80, "https": 443}


class Target(NamedTuple):
    """A normalised URL."""

    url: str
    host: str
    port: int
    is_allowed: bool
    """Whether the operator has listed the host: then its address is not judged."""


def is_public(address: Address) -> bool:
    """Return whether an address is public, and not one of our own networks."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _REFUSED_4)
    return address in _GLOBAL_6 and not any(address in network for network in _REFUSED_6)


class AddressRules:
    """Which addresses the operator allows for endpoints."""

    def __init__(self, ports: Sequence[int], allowed: Sequence[AllowedHost]) -> None:
        # What is allowed may be private, on any port or the one that is named, and without TLS.
        self._ports = frozenset(ports)
        self._allowed = tuple(allowed)

    def read(self, url: str, *, may_be_internal: bool) -> Target:
        """Return the target of a URL. Raises InvalidInput.

        The list of allowed hosts counts only if the endpoint `may_be_internal`.
        """
        match = _URL.fullmatch(url) if len(url) <= MAX_LENGTH else None
        if match is None:
            raise _refused(
                "Must be a URL that begins with https://, with a host and perhaps a port, a path and a query, "
                "in ASCII, without a user, a password or a fragment."
            )
        scheme, host = match["scheme"].lower(), match["host"].lower()
        port = int(match["port"] or _STANDARD_PORTS[scheme])
        address = _literal(host)
        if address is None and not (_NAME.fullmatch(host) and len(host) <= 253):
            raise _refused("Must name its host in full, or as an IP address in its usual form.")
        name = str(address or host)
        is_allowed = may_be_internal and any(each.covers(name, port) for each in self._allowed)
        if not is_allowed:
            self._check(scheme, host, port, address)
        shown_host = f"[{address}]" if isinstance(address, IPv6Address) else name
        shown_port = "" if port == _STANDARD_PORTS[scheme] else f":{port}"
        rest = match["rest"]
        path = rest if rest.startswith("/") else f"/{rest}"
        return Target(f"{scheme}://{shown_host}{shown_port}{path}", name, port, is_allowed)

    def _check(self, scheme: str, host: str, port: int, address: Address | None) -> None:
        if scheme != "https":
            raise _refused("Must begin with https://.")
        if port not in self._ports:
            ports = ", ".join(map(str, sorted(self._ports)))
            raise _refused(f"Must have one of these ports: {ports}.")
        is_private = "." not in host if address is None else not is_public(address)
        if is_private:
            raise _refused("Must be a host on the Internet, not one of a private network.")


def _literal(host: str) -> Address | None:
    """Return the IP address that a host is written as, None for a name or an unusual notation."""
    try:
        if host.startswith("["):
            return IPv6Address(host[1:-1])
        return IPv4Address(host)
    except ValueError:
        return None


def parse_address(text: str) -> Address | None:
    """Return the IP address of a socket, None if the text is no address."""
    try:
        # A zone, as in fe80::1%eth0, is part of the text.
        return ip_address(text)
    except ValueError:
        return None


def _refused(detail: str) -> InvalidInput:
    return InvalidInput(detail, field="url")
