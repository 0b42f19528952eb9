"""Security headers. The content security policy depends on the kind of page."""

from typing import Final

Headers = tuple[tuple[bytes, bytes], ...]

POLICY: Final = b"content-security-policy"
_API_POLICY: Final = "default-src 'none'; frame-ancestors 'none'"
# Swagger UI needs an inline script and icons from data: URLs.
_DOCS_POLICY: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
# The gateway's script puts its window into the page, with styles of its own.
_CHECKOUT_POLICY: Final = (
    "default-src 'none'; script-src 'self' {gateway}; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: {gateway}; connect-src 'self' {gateway}; frame-src {gateway}; form-action {gateway}; "
    "frame-ancestors 'none'; base-uri 'none'"
)
# Every file is our own, no script makes markup of text, and nobody shows the page in a frame.
_CONSOLE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'; "
    "trusted-types 'none'"
)

_COMMON: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"strict-transport-security", b"max-age=31536000; includeSubDomains"),
    (b"cross-origin-resource-policy", b"same-origin"),
    # Also on answers that are not compressed: with another Accept-Encoding they might be.
    (b"vary", b"accept-encoding"),
)
_ALONE: Final = (b"cross-origin-opener-policy", b"same-origin")
# A bank's page opens in a window of its own, and reports to the one that opened it.
_WITH_POPUPS: Final = (b"cross-origin-opener-policy", b"same-origin-allow-popups")
API_HEADERS: Final = (
    *_COMMON,
    _ALONE,
    (POLICY, _API_POLICY.encode()),
    (b"cache-control", b"no-store"),
)
DOCS_HEADERS: Final = (*_COMMON, _ALONE, (POLICY, _DOCS_POLICY.encode()))
CONSOLE_HEADERS: Final = (*_COMMON, _ALONE, (POLICY, _CONSOLE_POLICY.encode()))
_API_PATH: Final = "/v1/"
DOCS_PATH: Final = "/docs"
CHECKOUT_PATH: Final = "/checkout"
CONSOLE_PATH: Final = "/console"
SHOP_PATH: Final = "/shop"
GUIDE_PATH: Final = "/guide"

_OWN_PAGES: Final = frozenset({CONSOLE_PATH, GUIDE_PATH})
_BELOW_OWN_PAGES: Final = tuple(f"{path}/" for path in _OWN_PAGES)


class SecurityHeaders:
    def __init__(self, checkout_sources: str = "'none'") -> None:
        """`checkout_sources` are what the gateway's Checkout loads from, as sources of a policy."""
        policy = _CHECKOUT_POLICY.format(gateway=checkout_sources)
        self._checkout: Headers = (
            *_COMMON,
            _WITH_POPUPS,
            (POLICY, policy.encode()),
        )

    def of(self, path: str) -> Headers:
        if path.startswith(_API_PATH):
            return API_HEADERS
        if path.startswith(DOCS_PATH):
            return DOCS_HEADERS
        if path in _OWN_PAGES or path.startswith(_BELOW_OWN_PAGES):
            return CONSOLE_HEADERS
        return self._checkout if path.startswith((CHECKOUT_PATH, SHOP_PATH)) else API_HEADERS
