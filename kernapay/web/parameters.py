"""One value where one is meant: no header and no query parameter comes twice, and none is called `null`."""

from collections.abc import Iterator
from typing import Any, Final

from litestar import Litestar, Request
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from kernapay.core.errors import InvalidInput

# Read by other code than the handlers. `Authorization` is not among them: two of them are a 401.
_SINGLE_HEADERS: Final = frozenset(
    {b"host", b"content-type", b"content-length", b"if-modified-since", b"x-razorpay-signature"}
)
_NULL: Final = "null"


def single_headers(app: Litestar) -> frozenset[bytes]:
    """Return the names of the headers that have one value, among them those that any handler reads."""
    return _SINGLE_HEADERS.union(
        name.lower().encode() for _, _, headers in declared(app) for name in headers
    )


class QueryCheck:
    """Refuse query parameters that come twice, and `null`: clients write it for a value that they do not have.

    Decoders take the last of two values, and `null` for "no condition", so a list would show what nobody asked for.
    """

    def __init__(self) -> None:
        self._names: dict[HTTPRouteHandler, frozenset[str]] = {}

    def learn(self, app: Litestar) -> None:
        """Read the handlers' parameters, once, at the start."""
        self._names = {handler: frozenset(names) for handler, names, _ in declared(app) if names}

    async def __call__(self, request: Request[Any, Any, Any]) -> None:
        names = self._names.get(request.route_handler)
        if not request.scope["query_string"] or not names:
            return
        seen = set()
        for name, value in request.query_params.multi_items():
            if name not in names:
                continue
            if name in seen:
                raise InvalidInput("Send it once.", field=name)
            if value.strip().lower() == _NULL:
                raise InvalidInput("Must not be null. Leave it out instead.", field=name)
            seen.add(name)


def declared(app: Litestar) -> Iterator[tuple[HTTPRouteHandler, list[str], list[str]]]:
    """Yield every handler with the names of its parameters in the query, and in the headers."""
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for handler, model in route.route_handler_map.values():
                query, headers = model.expected_query_params, model.expected_header_params
                yield (
                    handler,
                    [each.field_alias for each in query],
                    [each.field_alias for each in headers],
                )
