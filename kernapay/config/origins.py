"""Origins of pages, as browsers write them in the `Origin` header."""

import re
from ipaddress import IPv4Address, IPv6Address
from typing import Final

_ORIGIN: Final = re.compile(
    r"([A-Za-z][A-Za-z0-9+.-]*)://(\[[^\]]*\]|[^:/?#@\[\]\s]+)(?::([0-9]{0,5}))?/?"
)
# An asterisk stands for any text: for development.
_HOST: Final = re.compile(
    r"(?:[a-z0-9_*](?:[a-z0-9_*-]*[a-z0-9_*])?\.)*[a-z0-9_*](?:[a-z0-9_*-]*[a-z0-9_*])?"
)
# Browsers leave out the port that belongs to the scheme.
_PORTS: Final = {"http": 80, "https": 443}


def read_origin(text: str) -> str:
    """Return the origin as a browser sends it: `HTTPS://Shop.Example:443/` is `https://shop.example`.

    Raises ValueError for what no browser sends.
    """
    if text == "*":
        return text
    match = _ORIGIN.fullmatch(text)
    if match is None:
        raise ValueError(
            "must be origins: a scheme and a host, without a path, such as https://shop.example"
        )
    scheme = match[1].lower()
    host, port = _host(match[2].lower()), _port(match[3])
    return (
        f"{scheme}://{host}" if port in (None, _PORTS.get(scheme)) else f"{scheme}://{host}:{port}"
    )


def _host(host: str) -> str:
    try:
        if host.startswith("["):
            return f"[{IPv6Address(host[1:-1])}]"
        if re.fullmatch(r"[0-9]+|0x[0-9a-f]*", host.rpartition(".")[2]):
            return str(
                IPv4Address(host)
            )  # browsers take nothing else that ends with a number for a host
    except ValueError:
        raise ValueError("must have valid IP addresses in its origins") from None
    if not host.isascii():
        raise ValueError(
            "must have hosts in ASCII, as browsers send them: https://xn--mnchen-3ya.example"
        )
    if not _HOST.fullmatch(host):
        raise ValueError("must have valid host names in its origins, such as https://shop.example")
    return host


def _port(text: str | None) -> int | None:
    if not text:
        return None
    if not 0 < int(text) < 65536:
        raise ValueError("must have ports from 1 to 65535 in its origins")
    return int(text)
