"""No way into private networks: not by an address, not by a way to write one, not by a name, not by a redirect."""

import ipaddress

import pytest

from kernapay.config.allowed_hosts import AllowedHost, read_allowed_host
from kernapay.core.errors import InvalidInput
from kernapay.deliveries.addresses import AddressRules, is_public

pytestmark = pytest.mark.owasp(line="API7")

RULES = AddressRules((443, 8443), ())

PRIVATE = [
    *("0.0.0.0", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254"),
    *("168.63.129.16", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.192"),
    *("192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1"),
    *("224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "64:ff9b::a9fe:a9fe"),
    *("64:ff9b::7f00:1", "64:ff9b:1::7f00:1", "100::1", "2001::1", "2001:0:7f00:1::", "2001:10::1"),
    *("2001:db8::1", "2002:7f00:1::", "2002:a9fe:a9fe::", "3fff::1", "5f00::1", "fc00::1"),
    *("fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1", "ff0e::1"),
]
PUBLIC = ["1.1.1.1", "8.8.8.8", "100.63.255.255", "172.32.0.1", "2606:4700:4700::1111", "2400::1"]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_of_ours_is_not_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_on_the_internet_is_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


def test_a_zone_does_not_make_an_address_public() -> None:
    assert not is_public(ipaddress.ip_address("fe80::1%eth0"))


@pytest.mark.parametrize("address", PRIVATE)
def test_a_url_with_a_private_address_is_refused(address: str) -> None:
    host = f"[{address}]" if ":" in address else address
    for url in (f"https://{host}/hook", f"https://{host}:8443/hook"):
        with pytest.raises(InvalidInput, match="private network"):
            RULES.read(url, may_be_internal=True)


@pytest.mark.parametrize(
    "url",
    [
        # Other notations of 127.0.0.1 and of the metadata address.
        *("https://127.1/", "https://0x7f000001/", "https://2130706433/", "https://0177.0.0.1/"),
        *("https://0x7f.1/", "https://127.0.0.1./", "https://127。0。0。1/", "https://①②⑦.0.0.1/"),
        *("https://0/", "https://[::ffff:169.254.169.254%25eth0]/", "https://[fe80::1%25eth0]/"),
        *("https://017700000001/", "https://127.0.0.1%00.example/", "https://127.0.0.1\0.example/"),
        *("https://1.2.3.4.5/", "https://256.1.1.1/", "https://example.0x7f/", "https://[127.0.0.1]/"),
        # Names that stay inside.
        *("https://localhost/", "https://localhost./", "https://kernapay/", "https://printer/"),
        # Another scheme, or none.
        *("http://example.com/", "ftp://example.com/", "file:///etc/passwd", "gopher://example.com/"),
        *("https:example.com", "//example.com/", "example.com", "", "https://", "https:///hook"),
        # What parsers read differently.
        *("https://user@example.com/", "https://user:pass@example.com/", "https://@example.com/"),
        *("https://example.com@127.0.0.1/", "https://127.0.0.1#@example.com/", "https://example.com#x"),
        *("https://example.com\\@127.0.0.1/", "https:\\\\example.com/", "https://example.com/\\x"),
        *("https://example.com/a b", "https://example.com/\r\nx: y", " https://example.com/"),
        *("https://example.com/\n", "https://exa\tmple.com/", "https://example.com/%zz", "https://ex%61mple.com/"),
        *("https://exämple.com/", "https://\u0435xample.com/", "https://example..com/", "https://-example.com/"),
        # Ports outside the list.
        *("https://example.com:22/", "https://example.com:6379/", "https://example.com:27017/"),
        *("https://example.com:0/", "https://example.com:65536/", "https://example.com:/", "https://example.com:x/"),
        f"https://example.com/{'a' * 2000}",
        f"https://{'a' * 64}.example/",
    ],
)  # fmt: skip
def test_a_url_that_could_mean_something_else_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        RULES.read(url, may_be_internal=True)
    assert caught.value.field == "url"
    assert len(url) < 10 or url not in caught.value.detail


@pytest.mark.parametrize(
    ("url", "stored"),
    [
        ("https://example.com", "https://example.com/"),
        ("HTTPS://Shop.Example.COM:443/Hook?a=1", "https://shop.example.com/Hook?a=1"),
        ("https://example.com:8443/a%20b/%E0%A4%95", "https://example.com:8443/a%20b/%E0%A4%95"),
        ("https://8.8.8.8/hook", "https://8.8.8.8/hook"),
        ("https://[2606:4700:4700:0::1111]/", "https://[2606:4700:4700::1111]/"),
        ("https://xn--exmple-cua.com?q", "https://xn--exmple-cua.com/?q"),
    ],
)
def test_a_usual_url_is_stored_in_one_form(url: str, stored: str) -> None:
    target = RULES.read(url, may_be_internal=False)
    assert (target.url, target.is_allowed) == (stored, False)
    assert RULES.read(stored, may_be_internal=False) == target


LISTED = ["localhost", "hooks.internal:9000", "10.1.0.0/16", "[::1]"]
ALLOWED = AddressRules((443,), [read_allowed_host(each) for each in LISTED])


@pytest.mark.parametrize(
    "url",
    [
        *("http://localhost:8000/hook", "https://LOCALHOST/", "http://hooks.internal:9000/x"),
        *("http://10.1.2.3/", "https://10.1.255.255:4000/", "http://[::1]:8000/", "http://[0:0::1]/"),
    ],
)  # fmt: skip
def test_a_host_that_the_operator_lists_may_be_private(url: str) -> None:
    assert ALLOWED.read(url, may_be_internal=True).is_allowed
    with pytest.raises(InvalidInput):
        ALLOWED.read(url, may_be_internal=False)


@pytest.mark.parametrize(
    "url",
    [
        *("http://localhost.evil.example/", "https://localhost.:443/", "https://10.2.0.1/"),
        *("http://hooks.internal:9001/", "https://127.0.0.1/", "http://10.1.0.0.evil.example/"),
    ],
)
def test_the_list_covers_nothing_else(url: str) -> None:
    with pytest.raises(InvalidInput):
        ALLOWED.read(url, may_be_internal=True)


@pytest.mark.parametrize(
    "text", ["", "*", "http://localhost", "10.0.0.1/33", "10.0.0.1/8", "[::1", "a:0", "a:70000", "a b"]
)  # fmt: skip
def test_an_entry_of_the_list_that_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be names, addresses or networks"):
        read_allowed_host(text)


def test_an_entry_with_a_port_is_for_that_port() -> None:
    assert read_allowed_host("Hooks.Internal:8443") == AllowedHost("hooks.internal", 8443)
    assert read_allowed_host("[::1]:8000").covers("::1", 8000)
    assert not read_allowed_host("[::1]:8000").covers("::1", 8001)
