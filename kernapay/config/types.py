"""How the values of settings are written: durations, lists, rate limits, networks, service types."""

import re
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Final

import msgspec
from limits import RateLimitItem, parse_many
from pydantic import BeforeValidator, Field
from pydantic_settings import NoDecode

_UNITS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31557600}
_DURATION: Final = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w|y)?\s*$", re.IGNORECASE)


class ServiceType(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a business says about one of its service types. No metadata named: any metadata is taken."""

    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()

    @property
    def allowed(self) -> frozenset[str]:
        return frozenset((*self.required, *self.optional))


def parse_duration(value: object) -> object:
    """Read `7d`, `12h`, `30m`, `45s` or a plain number of seconds, as the `ms` package of Node does."""
    if not isinstance(value, str):
        return value
    match = _DURATION.match(value)
    if match is None:
        raise ValueError("must look like 7d, 12h, 30m, 45s or a number of seconds")
    try:
        return timedelta(seconds=float(match[1]) * _UNITS[(match[2] or "s").lower()])
    except OverflowError:
        raise ValueError("is longer than can be represented") from None


def words(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _words(value: object) -> object:
    return words(value) if isinstance(value, str) else value


def _service_types(value: object) -> object:
    if not isinstance(value, str):
        return value
    if not value.lstrip().startswith("{"):
        return {name: ServiceType() for name in words(value)}
    try:
        return msgspec.json.decode(value, type=dict[str, ServiceType])
    except msgspec.MsgspecError as error:
        raise ValueError(
            'must be a list (CONSULTATION,LAB_TEST) or {"NAME": {"required": [], "optional": []}}'
            f" - {error}"
        ) from None


def rate(text: str) -> tuple[RateLimitItem, ...]:
    return tuple(parse_many(text))


def _rate_limit(value: object) -> object:
    if not isinstance(value, str):
        return value
    if value.strip().lower() == "off":
        return ()
    try:
        items = rate(value)
    except ValueError:
        raise ValueError("must look like 300/minute, 10/minute;30/hour, or be off") from None
    if any(item.amount < 1 or item.multiples < 1 for item in items):
        raise ValueError("must admit something: 1/minute at least, or off")
    return items


def _networks(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        networks = tuple(ip_network(part) for part in words(value))
    except ValueError:
        raise ValueError(
            "must be networks or addresses: 10.0.0.0/8,192.0.2.7,2001:db8::/32"
        ) from None
    if any(network.prefixlen == 0 for network in networks):
        raise ValueError("must not trust everyone: clients would choose their own address")
    return networks


Duration = Annotated[timedelta, BeforeValidator(parse_duration), Field(gt=timedelta(0))]
Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words)]
RateLimit = Annotated[tuple[RateLimitItem, ...], NoDecode, BeforeValidator(_rate_limit)]
Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode, BeforeValidator(_networks)]
ServiceTypes = Annotated[dict[str, ServiceType], NoDecode, BeforeValidator(_service_types)]
