"""The application's own routes, as the tests of the house look at them."""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple, get_args

import msgspec
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from kernapay.web.headers import CHECKOUT_PATH, CONSOLE_PATH, DOCS_PATH, GUIDE_PATH, SHOP_PATH

PAGES: Final = (DOCS_PATH, CHECKOUT_PATH, CONSOLE_PATH, SHOP_PATH, GUIDE_PATH)
"""The beginnings of the paths of pages and their files, which are the same for everybody."""


class Route(NamedTuple):
    name: str
    """Method and path, as in `GET /v1/api/users/profile`."""
    handler: HTTPRouteHandler


def routes(application: Litestar) -> Iterator[Route]:
    """Yield every route that somebody wrote: not the framework's OPTIONS, nor files of pages."""
    for route in application.routes:
        if not isinstance(route, HTTPRoute) or route.path_format.startswith(PAGES):
            continue
        for handler in route.route_handlers:
            for method in sorted(handler.http_methods - {"OPTIONS", "HEAD"}):
                yield Route(f"{method} {route.path_format}", handler)


def body_structs(handler: HTTPRouteHandler) -> list[type[msgspec.Struct]]:
    """Return the type of a handler's body, and those inside it."""
    field = handler.parsed_data_field
    if field is None:
        return []
    found: list[type[msgspec.Struct]] = []
    parts: list[Any] = [field.annotation]
    while parts:
        annotation = parts.pop()
        if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
            if annotation in found:
                continue
            found.append(annotation)
            parts.extend(each.type for each in msgspec.structs.fields(annotation))
        parts.extend(get_args(annotation))
    return found
