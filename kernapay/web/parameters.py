"""One value where one is meant: no header and no query parameter comes twice, and none is called `null` or too long."""

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
_REMEMBERED: Final = 1024
# Litestar remembers as many queries as well, with what it read from them: at 64 kB each, they would fill the memory.
_LONGEST: Final = 4096


def single_headers(app: Litestar) -> frozenset[bytes]:
    """Return the names of the headers that have one value, among them those that any handler reads."""
    return _SINGLE_HEADERS.union(
        name.lower().encode() for _, _, headers in declared(app) for name in headers
    )


class QueryCheck:
    """Refuse query parameters that come twice, `null`, which clients write for a value that they do not have, and
    queries of more than 4096 bytes.

    Decoders take the last of two values, and `null` for "no condition", so a list would show what nobody asked for.
    """

    def __init__(self) -> None:
        self._names: dict[HTTPRouteHandler, frozenset[str]] = {}
        # Most pages are asked for in the same few words.
        self._found_right: set[tuple[HTTPRouteHandler, bytes]] = set()

    def learn(self, app: Litestar) -> None:
        """Read the handlers' parameters, once, at the start."""
        self._names = {handler: frozenset(names) for handler, names, _ in declared(app) if names}

    def __call__(self, request: Request[Any, Any, Any]) -> None:
        query = request.scope["query_string"]
        if not query:
            return
        names = self._names.get(request.route_handler)
        if not names or (request.route_handler, query) in self._found_right:
            return
        if len(query) > _LONGEST:
            raise _too_long(query, names)
        self._check(request, names)
        if len(self._found_right) >= _REMEMBERED:
            self._found_right.clear()
        self._found_right.add((request.route_handler, query))

    def _check(self, request: Request[Any, Any, Any], names: frozenset[str]) -> None:
        seen = set()
        for name, value in request.query_params.multi_items():
            if name not in names:
                continue
            if name in seen:
                raise InvalidInput("Send it once.", field=name)
            if value.strip().lower() == _NULL:
                raise InvalidInput("Must not be null. Leave it out instead.", field=name)
            seen.add(name)


def _too_long(query: bytes, names: frozenset[str]) -> InvalidInput:
    """Return the error, which names the longest parameter if the route has it."""
    name = max(query.split(b"&"), key=len).partition(b"=")[0].decode("latin-1")
    sentence = f"Must be shorter: a query has at most {_LONGEST} bytes."
    return InvalidInput(sentence, field=name if name in names else None)


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
