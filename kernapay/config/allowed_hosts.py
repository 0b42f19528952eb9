"""Hosts that events may be sent to although they are private, as DELIVERY_ALLOWED_HOSTS lists them."""

import re
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final, NamedTuple

_NAME: Final = re.compile(r"(?P<host>[a-z0-9._-]*[a-z][a-z0-9._-]*)(?::(?P<port>[0-9]{1,5}))?")
_NETWORK: Final = re.compile(
    r"(?P<host>\[[0-9a-f:.]+\]|[0-9.]+)(?P<prefix>/[0-9]{1,3})?(?::(?P<port>[0-9]{1,5}))?"
)


class AllowedHost(NamedTuple):
    """A name, or a network of addresses; without a `port`, on any."""

    host: str | IPv4Network | IPv6Network
    port: int | None = None

    def covers(self, host: str, port: int) -> bool:
        """Return whether a host is listed, by its name or its address in the usual form."""
        if self.port not in (None, port):
            return False
        if isinstance(self.host, str):
            return self.host == host
        try:
            return ip_address(host) in self.host
        except ValueError:
            return False


def read_allowed_host(text: str) -> AllowedHost:
    """Return a host of the list. Raises ValueError."""
    text = text.lower()
    try:
        if match := _NETWORK.fullmatch(text):
            network = ip_network(match["host"].strip("[]") + (match["prefix"] or ""))
            return AllowedHost(network, _port(match["port"]))
        if match := _NAME.fullmatch(text):
            return AllowedHost(match["host"], _port(match["port"]))
    except ValueError:
        pass  # as for any other text
    raise ValueError(
        "must be names, addresses or networks, each with or without a port, separated by commas: "
        "localhost,hooks.internal:8443,10.1.0.0/16,[::1]"
    )


def _port(text: str | None) -> int | None:
    if text is None:
        return None
    if not 1 <= int(text) <= 65535:
        raise ValueError
    return int(text)
