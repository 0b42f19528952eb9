"""Check the headers that a business adds to its deliveries."""

import re
from collections.abc import Mapping
from typing import Annotated, Final

from msgspec import Meta

from kernapay.core.errors import InvalidInput
from kernapay.core.patterns import explain

_NAME: Final = explain(r"^[A-Za-z0-9-]+$", "made of letters, digits and - only")
_VALUE: Final = explain(
    r"^[!-~]([ -~]*[!-~])?$", "printable ASCII that neither begins nor ends with a blank"
)
HeaderName = Annotated[str, Meta(min_length=1, max_length=64, pattern=_NAME)]
HeaderValue = Annotated[str, Meta(min_length=1, max_length=1000, pattern=_VALUE)]
MAX_HEADERS: Final = 10

# They frame the message, belong to one connection, carry credentials that clients and proxies act on, change how a
# proxy routes, or open the metadata of a cloud.
_REFUSED: Final = re.compile(
    r"""
    (
        host | connection | keep-alive | te | trailers? | transfer-encoding | upgrade | http2-settings | expect
        | content-.* | accept-encoding | range | date | via | forwarded | max-forwards | user-agent
        | authorization | cookie2? | set-cookie2? | www-authenticate | proxy-.* | sec-.* | origin | referer
        | x-forwarded-.* | x-real-ip | x-client-ip | x-original-.* | x-rewrite-.* | x-http-method.* | x-method-override
        | x-host | x-accel-.* | x-sendfile | metadata.* | x-aws-.* | x-amz-.* | x-google-.* | x-ms-.* | x-metadata.*
        | webhook-.* | svix-.*
    )
    """,
    re.VERBOSE | re.IGNORECASE,
)


def check_headers(headers: Mapping[str, str]) -> None:
    """Raise InvalidInput for a header that is ours, or that could change what a request is."""
    seen = set()
    for name in headers:
        if _REFUSED.fullmatch(name):
            raise InvalidInput(
                "Must not have this name: it is reserved for HTTP, for proxies or for Standard Webhooks. "
                "Use a name of your own, such as X-Shop-Key.",
                field=f"headers.{name}",
            )
        if name.lower() in seen:
            raise InvalidInput("Must be there once; case does not matter.", field=f"headers.{name}")
        seen.add(name.lower())
