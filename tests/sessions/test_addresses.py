"""Client addresses: who may say for whom a request comes."""

from ipaddress import ip_network
from typing import Any

import pytest

from kernapay.config.loading import ConfigurationError
from kernapay.security.addresses import ClientAddresses
from tests.environment import REQUIRED, settings_from

PROXIES = [ip_network("10.0.0.0/8"), ip_network("2001:db8:1::/48")]


def address(peer: str | None, *forwarded: str, proxies: Any = PROXIES) -> str:
    headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    scope = {"client": (peer, 40_000) if peer else None, "headers": headers}
    return ClientAddresses(proxies).of(scope)


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("203.0.113.9", [], "203.0.113.9"),
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["1.1.1.1, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["198.51.100.1, 10.0.0.7"], "198.51.100.1"),
        ("10.0.0.1", ["1.1.1.1", "198.51.100.1,10.0.0.7"], "198.51.100.1"),
        ("10.0.0.1", ["10.0.0.9, 10.0.0.7"], "10.0.0.9"),
        ("10.0.0.1", ["198.51.100.1:4711"], "198.51.100.1"),
        ("10.0.0.1", ["[2001:db8:2::9]:4711"], "2001:db8:2::/64"),
        ("10.0.0.1", ["198.51.100.1, <script>"], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("::ffff:10.0.0.1", ["::ffff:198.51.100.1"], "198.51.100.1"),
        ("2001:db8:1::5", ["198.51.100.1"], "198.51.100.1"),
        (None, ["198.51.100.1"], "unknown"),
    ],
)
@pytest.mark.owasp(line="API4")
def test_the_rightmost_address_that_is_no_proxy_is_the_client(
    peer: str | None, forwarded: list[str], expected: str
) -> None:
    assert address(peer, *forwarded) == expected


@pytest.mark.owasp(line="API4")
def test_nobody_is_believed_by_default() -> None:
    assert address("127.0.0.1", "198.51.100.1", proxies=()) == "127.0.0.1"


def test_all_addresses_of_one_ipv6_network_are_one_client() -> None:
    assert address("2001:db8:2:3::1") == address("2001:db8:2:3:ffff::9")
    assert address("2001:db8:2:3::1") != address("2001:db8:2:4::1")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("trusted_proxies", "10.0.0.0/8,nonsense"),
        ("trusted_proxies", "10.0.0.1/8"),
        ("trusted_proxies", "0.0.0.0/0"),
        ("rate_limit_login", "often"),
        ("rate_limit_login", "0/minute"),
        ("rate_limits", "sometimes"),
        ("refresh_expiry", "a while"),
        ("body_timeout", "0"),
    ],
)
def test_a_bad_setting_is_named(variable: str, value: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        settings_from(REQUIRED, **{variable: value})
    assert variable.upper() in str(refused.value)
