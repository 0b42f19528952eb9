"""The address a request comes from, told by the socket or by proxies we trust."""

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any, Final

import structlog

_log = structlog.get_logger("kernapay.addresses")

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

UNKNOWN: Final = "unknown"
# Whoever has one address of IPv6 has the other 2^64 of its network as well.
_IPV6_HOST_BITS: Final = 64


class ClientAddresses:
    """Name clients by address: the socket's peer, or the rightmost address in `X-Forwarded-For` that is no proxy."""

    def __init__(self, trusted_proxies: Sequence[Network] = ()) -> None:
        self._trusted = tuple(trusted_proxies)
        self._warned = False

    def of(self, scope: Mapping[str, Any]) -> str:
        """Give the client's IPv4 address, or its IPv6 network of 64 bits."""
        client = scope.get("client")
        address = _parse(client[0]) if client else None
        if address is None:
            return UNKNOWN
        # Each proxy appends whom it saw, so only what stands right of a stranger can be believed.
        hops = _hops_from_the_right(scope)
        if hops and not self._trusted:
            self._warn()
        for hop in hops if self._is_proxy(address) else ():
            further = _parse(hop)
            if further is None:
                break
            address = further
            if not self._is_proxy(address):
                break
        if isinstance(address, IPv6Address):
            return str(IPv6Network((int(address) >> _IPV6_HOST_BITS << _IPV6_HOST_BITS, 64)))
        return str(address)

    def _warn(self) -> None:
        """Tell the operator, once: behind a proxy nobody trusts, all clients share its address and its limits."""
        if not self._warned:
            self._warned = True
            _log.warning("forwarded_for_ignored", advice="behind a proxy, set TRUSTED_PROXIES")

    def _is_proxy(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


def _hops_from_the_right(scope: Mapping[str, Any]) -> list[str]:
    values = [
        value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"
    ]
    return ",".join(values).split(",")[::-1] if values else []


def _parse(text: str) -> Address | None:
    """Read `192.0.2.1`, `192.0.2.1:8080`, `2001:db8::1` or `[2001:db8::1]:8080`."""
    text = text.strip()
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
