"""Types of settings, and how their values are written: durations, lists, rates, networks, zones, service types."""

import re
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import msgspec
from limits import RateLimitItem, parse_many
from pydantic import AfterValidator, BeforeValidator, Field

from kernapay.config.allowed_hosts import AllowedHost, read_allowed_host
from kernapay.config.origins import read_origin

# Each with every name that Node's `ms` knows it by.
_UNITS: Final = {
    unit: seconds
    for seconds, names in (
        (0.001, "ms msec msecs millisecond milliseconds"),
        (1, "s sec secs second seconds"),
        (60, "m min mins minute minutes"),
        (3600, "h hr hrs hour hours"),
        (86400, "d day days"),
        (604800, "w week weeks"),
        (31557600, "y yr yrs year years"),
    )
    for unit in names.split()
}
_HOST_NAME: Final = re.compile(r"[a-z0-9._-]+|\[[0-9a-f:.]+\]")
_DURATION: Final = re.compile(r"\s*(-?[0-9]*\.?[0-9]+)\s*([a-z]*)\s*", re.IGNORECASE)
_LONGEST_TEXT: Final = 100  # as in `ms`
# Times are stored until the year 9999: a century is added to any without an overflow.
_LONGEST: Final = timedelta(days=36525)
# Files beside the zones: the zone of this machine, and clocks that count leap seconds.
_NO_ZONES: Final = re.compile(r"(localtime|posixrules|(posix|right)/.*)")


_MinorUnits = Annotated[int, msgspec.Meta(ge=1, le=2**53)]
# In percent, as the law has it: with two decimals at most.
_Percent = Annotated[float, msgspec.Meta(ge=0, le=100)]


class ServiceType(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """The metadata and the price of a service type.

    If no names are given, any metadata is accepted. `amount` is a fixed price, `min_amount` and `max_amount` are its
    limits, in minor units of `currency`. Without them, the payer may choose any amount.

    `sac` is the code of the goods or the service (HSN or SAC). `gst` is the tax in percent, which prices include.
    """

    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    amount: _MinorUnits | None = None
    min_amount: _MinorUnits | None = None
    max_amount: _MinorUnits | None = None
    currency: str | None = None
    sac: Annotated[str, msgspec.Meta(pattern="^[0-9]{4,8}$")] | None = None
    gst: _Percent | None = None

    @property
    def allowed(self) -> frozenset[str]:
        return frozenset((*self.required, *self.optional))


def parse_duration(value: object) -> object:
    """Parse what Node's `ms` takes, such as `7d` or `2 days`. A number alone is in seconds; there, in milliseconds."""
    if not isinstance(value, str):
        return value
    match = _DURATION.fullmatch(value) if len(value) <= _LONGEST_TEXT else None
    unit = _UNITS.get((match[2] or "s").lower()) if match else None
    if match is None or unit is None:
        raise ValueError(
            "must be a duration such as 7d, 12h, 30m, 45s or 2 days, or a number of seconds"
        )
    seconds = float(match[1]) * unit
    if seconds > _LONGEST.total_seconds():
        raise ValueError("is too long: at most 100y")
    if seconds <= 0:
        raise ValueError("must be more than 0")
    return timedelta(seconds=seconds)


def split_list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _text_list(value: object) -> object:
    return split_list(value) if isinstance(value, str) else value


def _origins(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(dict.fromkeys(read_origin(part) for part in split_list(value)))


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
            '{"LAB_TEST": {"required": ["kit"], "optional": [], "amount": 50000, "currency": "INR"}}, '
            "with prices as integers in minor units"
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
        networks = tuple(_unmapped(ip_network(part)) for part in split_list(value))
    except ValueError:
        raise ValueError(
            "must be networks or addresses, separated by commas: 10.0.0.0/8,192.0.2.7,2001:db8::/32"
        ) from None
    if any(network.prefixlen == 0 for network in networks):
        raise ValueError(
            "must not include every address (/0): clients could then claim any address as theirs"
        )
    return networks


def _unmapped(network: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    """Return the IPv4 network that `::ffff:a.b.c.d/n` stands for. Clients' addresses are compared in that form."""
    if network.version == 6 and network.prefixlen >= 96:
        address = network.network_address.ipv4_mapped
        if address is not None:
            return IPv4Network((address, network.prefixlen - 96))
    return network


def _host_names(value: object) -> object:
    if not isinstance(value, str):
        return value
    names = tuple(name.lower() for name in split_list(value))
    if not all(_HOST_NAME.fullmatch(name) for name in names):
        raise ValueError(
            "must be host names or addresses without a port, separated by commas: pay.example.com,[::1]"
        )
    return names


def _currencies(value: tuple[str, ...]) -> tuple[str, ...]:
    if not value or any(not re.fullmatch("[A-Z]{3}", code) for code in value):
        raise ValueError("must be ISO 4217 codes, separated by commas: INR,USD")
    return value


def _signup_types(value: tuple[str, ...]) -> tuple[str, ...]:
    if not value or not set(value) <= {"USER", "PROVIDER", "LAB_ASSISTANT"}:
        raise ValueError(
            "must be one or more of USER, PROVIDER, LAB_ASSISTANT, separated by commas"
        )
    return value


def _ports(value: object) -> object:
    if not isinstance(value, str):
        return value
    ports = split_list(value)
    if not ports or not all(re.fullmatch("[0-9]{1,5}", port) for port in ports):
        raise ValueError("must be port numbers, separated by commas: 443,8443")
    numbers = tuple(int(port) for port in ports)
    if not all(1 <= number <= 65535 for number in numbers):
        raise ValueError("must be port numbers from 1 to 65535")
    return numbers


def _allowed_hosts(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(read_allowed_host(part) for part in split_list(value))


def _key_id(value: str) -> str:
    if not re.fullmatch(r"rzp_(test|live)_[A-Za-z0-9_]+", value):
        raise ValueError("must be a key id from the Razorpay dashboard: rzp_test_… or rzp_live_…")
    return value


def _display_name(value: str) -> str:
    if not re.fullmatch(r"[^\x00-\x1f\x7f]{1,60}", value):
        raise ValueError("must be one line of 1 to 60 characters, without control characters")
    return value


def _time_zone(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        if _NO_ZONES.fullmatch(value):
            raise ValueError
        return ZoneInfo(value)
    except (ValueError, LookupError, OSError):
        raise ValueError(
            "must be the name of a time zone, such as Asia/Kolkata or Europe/Berlin"
        ) from None


KeyId = Annotated[str, AfterValidator(_key_id)]
DisplayName = Annotated[str, AfterValidator(_display_name)]
Duration = Annotated[timedelta, BeforeValidator(parse_duration), Field(gt=timedelta(0))]
_TextList = Annotated[tuple[str, ...], BeforeValidator(_text_list)]
Currencies = Annotated[_TextList, AfterValidator(_currencies)]
SignUpTypes = Annotated[_TextList, AfterValidator(_signup_types)]
Ports = Annotated[tuple[int, ...], BeforeValidator(_ports)]
AllowedHosts = Annotated[tuple[AllowedHost, ...], BeforeValidator(_allowed_hosts)]
Origins = Annotated[tuple[str, ...], BeforeValidator(_origins)]
RateLimit = Annotated[tuple[RateLimitItem, ...], BeforeValidator(_rate_limit)]
HostNames = Annotated[tuple[str, ...], BeforeValidator(_host_names)]
Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], BeforeValidator(_networks)]
ServiceTypes = Annotated[dict[str, ServiceType], BeforeValidator(_service_types)]
TimeZone = Annotated[ZoneInfo, BeforeValidator(_time_zone)]
