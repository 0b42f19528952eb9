"""Security headers. The content security policy depends on the kind of page."""

from typing import Final

_API_POLICY: Final = "default-src 'none'; frame-ancestors 'none'"
# Swagger UI needs an inline script and icons from data: URLs.
_DOCS_POLICY: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)

_COMMON: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"strict-transport-security", b"max-age=31536000; includeSubDomains"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    # Also on answers that are not compressed: with another Accept-Encoding they might be.
    (b"vary", b"accept-encoding"),
)
API_HEADERS: Final = (
    *_COMMON,
    (b"content-security-policy", _API_POLICY.encode()),
    (b"cache-control", b"no-store"),
)
DOCS_HEADERS: Final = (*_COMMON, (b"content-security-policy", _DOCS_POLICY.encode()))
DOCS_PATH: Final = "/docs"


def headers_for(path: str) -> tuple[tuple[bytes, bytes], ...]:
    return DOCS_HEADERS if path.startswith(DOCS_PATH) else API_HEADERS
