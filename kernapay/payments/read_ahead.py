"""Which cached page of a history a request asks for, so that it is read together with the session."""

from functools import lru_cache
from typing import Final
from urllib.parse import parse_qsl

from litestar.types import Scope

from kernapay.payments.repository import PaymentRepository
from kernapay.storage.redis import Address

PAGE_SIZE: Final = 10
"""How many payments a page has unless the request says another number."""
# Longer ones are not kept in memory.
_USUAL_LENGTH: Final = 64


def page_address(scope: Scope) -> Address | None:
    """Return where the page is cached, None for an unusual request.

    The request is not checked yet: it may be one that the handler refuses, or for a page that is never cached.
    """
    query = scope["query_string"]
    bounds = _bounds_of(query) if len(query) <= _USUAL_LENGTH else None
    if bounds is None:
        return None
    skip, count = bounds
    user_id = scope["path_params"]["user_id"]
    return PaymentRepository.history.address(user_id=user_id, skip=skip, count=count)


@lru_cache(1024)
def _bounds_of(query: bytes) -> tuple[int, int] | None:
    """Return how many payments to skip and how many to return."""
    given = dict(parse_qsl(query.decode("latin-1")))
    if "cursor" in given:
        return None
    try:
        return int(given.get("skip", 0)), int(given.get("count", PAGE_SIZE))
    except ValueError:
        return None
