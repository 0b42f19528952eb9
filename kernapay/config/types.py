"""Types of settings, and how their values are written: durations, lists, rate limits, networks, service types."""

import re
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Final

import msgspec
from limits import RateLimitItem, parse_many
from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import NoDecode

_UNITS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31557600}
_DURATION: Final = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w|y)?\s*$", re.IGNORECASE)


class ServiceType(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The metadata of a service type. If no names are given, any metadata is accepted."""

    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()

    @property
    def allowed(self) -> frozenset[str]:
        return frozenset((*self.required, *self.optional))


def parse_duration(value: object) -> object:
    """Parse `7d`, `12h`, `30m`, `45s` or a number of seconds."""
    if not isinstance(value, str):
        return value
    match = _DURATION.match(value)
    if match is None:
        raise ValueError("must be a duration such as 7d, 12h, 30m or 45s, or a number of seconds")
    try:
        return timedelta(seconds=float(match[1]) * _UNITS[(match[2] or "s").lower()])
    except OverflowError:
        raise ValueError("is too long: at most 999999999d") from None


def split_list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _text_list(value: object) -> object:
    return split_list(value) if isinstance(value, str) else value


def _service_types(value: object) -> object:
    if not isinstance(value, str):
        return value
    if not value.lstrip().startswith("{"):
        return {name: ServiceType() for name in split_list(value)}
    try:
        return msgspec.json.decode(value, type=dict[str, ServiceType])
    except msgspec.MsgspecError:
        raise ValueError(
            "must be names separated by commas (CONSULTATION,LAB_TEST) or a JSON object: "
            '{"LAB_TEST": {"required": ["kit"], "optional": []}}'
        ) from None


def parse_rate(text: str) -> tuple[RateLimitItem, ...]:
    return tuple(parse_many(text))


def _rate_limit(value: object) -> object:
    if not isinstance(value, str):
        return value
    if value.strip().lower() == "off":
        return ()
    try:
        items = parse_rate(value)
    except ValueError:
        raise ValueError(
            "must be a rate such as 300/minute, several such as 10/minute;30/hour, or off"
        ) from None
    if any(item.amount < 1 or item.multiples < 1 for item in items):
        raise ValueError("must be at least 1/minute, or off")
    return items


def _networks(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        networks = tuple(ip_network(part) for part in split_list(value))
    except ValueError:
        raise ValueError(
            "must be networks or addresses, separated by commas: 10.0.0.0/8,192.0.2.7,2001:db8::/32"
        ) from None
    if any(network.prefixlen == 0 for network in networks):
        raise ValueError(
            "must not include every address (/0): clients could then claim any address as theirs"
        )
    return networks


def _key_id(value: str) -> str:
    if not re.fullmatch(r"rzp_(test|live)_[A-Za-z0-9_]+", value):
        raise ValueError("must be a key id from the Razorpay dashboard: rzp_test_… or rzp_live_…")
    return value


def _display_name(value: str) -> str:
    if not re.fullmatch(r"[^\x00-\x1f\x7f]{1,60}", value):
        raise ValueError("must be one line of 1 to 60 characters, without control characters")
    return value


KeyId = Annotated[str, AfterValidator(_key_id)]
DisplayName = Annotated[str, AfterValidator(_display_name)]
Duration = Annotated[timedelta, BeforeValidator(parse_duration), Field(gt=timedelta(0))]
TextList = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_text_list)]
RateLimit = Annotated[tuple[RateLimitItem, ...], NoDecode, BeforeValidator(_rate_limit)]
Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode, BeforeValidator(_networks)]
ServiceTypes = Annotated[dict[str, ServiceType], NoDecode, BeforeValidator(_service_types)]
