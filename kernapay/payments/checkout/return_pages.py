"""Check the pages to which the checkout page may send a payer: only pages of the shop."""

import re
from collections.abc import Awaitable, Callable, Collection
from typing import Final
from urllib.parse import urlsplit

from kernapay.config.origins import read_origin
from kernapay.core.errors import InvalidInput
from kernapay.payments.dtos import PaymentCreate
from kernapay.security.principal import Principal

OriginsOf = Callable[[str], Awaitable[Collection[str]]]
"""Return the origins that are listed for the API key with this id."""

# Browsers read a backslash as a slash, and drop tabs and line breaks: none of them may stand before the path.
_URL: Final = re.compile(r"(https?://[^/?#\\@\s]+)([/?#][\x21-\x7e]*)?")


class ReturnPages:
    def __init__(self, origins_of: OriginsOf) -> None:
        self._origins_of = origins_of

    async def check(self, principal: Principal, data: PaymentCreate) -> None:
        """Raise InvalidInput, naming the field, for a page that is not the shop's."""
        wanted = {"successUrl": data.success_url, "cancelUrl": data.cancel_url}
        pages = {name: url for name, url in wanted.items() if url is not None}
        if not pages:
            return
        name = next(iter(pages))
        if not data.checkout:
            raise InvalidInput("Send it with checkout: true, or leave it out.", field=name)
        if principal.key_id is None:
            raise InvalidInput(
                "Needs an API key, whose checkoutOrigins say which pages are yours.", field=name
            )
        origins = await self._origins_of(principal.key_id)
        for name, url in pages.items():
            if _origin_of(url) not in origins:
                raise InvalidInput(
                    "Must be a page of one of the checkoutOrigins of this API key.", field=name
                )


def _origin_of(url: str) -> str | None:
    match = _URL.fullmatch(url)
    if match is None or urlsplit(url).hostname is None:
        return None
    try:
        return read_origin(match[1])
    except ValueError:
        return None
