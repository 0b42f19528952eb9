"""Find the cached page of a history that a request asks for, so that it is read together with the session."""

from functools import lru_cache
from typing import Final
from urllib.parse import parse_qsl

from litestar.types import Scope

from kernapay.payments.repository import PaymentRepository
from kernapay.storage.redis import Address

PAGE_SIZE: Final = 10
"""How many payments a page has unless the request says another number."""
# Longer ones are not kept in memory.
_USUAL_LENGTH: Final = 100


def page_address(scope: Scope) -> Address | None:
    """Return where the page is cached, None for an unusual request.

    The request is not validated yet: the handler may refuse it, or the page may never be cached.
    """
    user_id, query = scope["path_params"]["user_id"], scope["query_string"]
    return _address_of(user_id, query) if len(user_id) + len(query) <= _USUAL_LENGTH else None


@lru_cache(4096)
def _address_of(user_id: str, query: bytes) -> Address | None:
    given = dict(parse_qsl(query.decode("latin-1")))
    if "cursor" in given:
        return None
    try:
        skip, count = int(given.get("skip", 0)), int(given.get("count", PAGE_SIZE))
    except ValueError:
        return None
    return PaymentRepository.history.address(user_id=user_id, skip=skip, count=count)
