"""The client's network address, from the connection or from the proxies we trust."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any, Final

import structlog

_log = structlog.get_logger("kernapay.addresses")

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

UNKNOWN: Final = "unknown"
# A client with one IPv6 address can usually use all 2^64 addresses of its /64 network.
_IPV6_HOST_BITS: Final = 64
# With a zone and a port. Anybody may write longer texts into a header, and they are not kept in memory.
_LONGEST: Final = 80


class ClientAddresses:
    """Find a client's address: the connection's peer or, behind trusted proxies, what `X-Forwarded-For` says.

    Of the header, it takes the rightmost address that is not a trusted proxy.
    """

    def __init__(self, trusted_proxies: Sequence[Network] = ()) -> None:
        self._trusted = tuple(trusted_proxies)
        self._has_warned = False

    def of(self, scope: Mapping[str, Any]) -> str:
        """Return the client's IPv4 address, the /64 network of its IPv6 address, or `unknown`."""
        client = scope.get("client")
        address = _parse(client[0]) if client else None
        if address is None:
            return UNKNOWN
        # Each proxy appends the address it saw. Left of the first untrusted address, anything may be forged.
        hops = _hops_from_the_right(scope)
        if hops and not self._trusted:
            self._warn()
        for hop in hops if self._is_proxy(address) else ():
            hop_address = _parse(hop)
            if hop_address is None:
                break
            address = hop_address
            if not self._is_proxy(address):
                break
        if isinstance(address, IPv6Address):
            return str(IPv6Network((int(address) >> _IPV6_HOST_BITS << _IPV6_HOST_BITS, 64)))
        return str(address)

    def _warn(self) -> None:
        """Warn the operator once: behind an untrusted proxy, all clients share the proxy's address and rate limits."""
        if not self._has_warned:
            self._has_warned = True
            _log.warning(
                "forwarded_for_ignored",
                fix="if there is a proxy in front, set TRUSTED_PROXIES to its network",
            )

    def _is_proxy(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


def _hops_from_the_right(scope: Mapping[str, Any]) -> list[str]:
    values = [
        value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"
    ]
    return ",".join(values).split(",")[::-1] if values else []


def _parse(text: str) -> Address | None:
    """Parse `192.0.2.1`, `192.0.2.1:8080`, `2001:db8::1` or `[2001:db8::1]:8080`."""
    text = text.strip()
    return _parse_short(text) if len(text) <= _LONGEST else None


@lru_cache(4096)
def _parse_short(text: str) -> Address | None:
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
