"""Decorators for handlers: Litestar's, without the work that our requests do not need."""

from collections.abc import Iterable
from inspect import getmembers, signature
from typing import Any

import msgspec
from litestar import Controller, HttpMethod, Response
from litestar.connection import ASGIConnection
from litestar.di import Provide
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from kernapay.web.responses import EncodedJSON


class Constant(Provide):
    """A dependency that exists before the first request. Litestar's other providers are called by every request."""

    def __init__(self, value: object) -> None:
        super().__init__(lambda: value, sync_to_thread=False)
        self.value = value

    # Litestar compares all providers of each route, which by identity is quick.
    __eq__ = object.__eq__
    __hash__ = object.__hash__


class RouteHandler(HTTPRouteHandler):
    """A route handler. Guards get the handler itself, not a copy, and must not change it."""

    _is_plain = False
    _known_exception_handlers: Any = None

    def on_registration(self, app: Any) -> None:
        super().on_registration(app)
        self._is_plain = not (
            self.background or self.resolve_response_headers() or self.resolve_response_cookies()
        )

    def resolve_exception_handlers(self) -> Any:
        """Return the handlers of errors. Litestar collects them anew for every request."""
        if self._known_exception_handlers is None:
            self._known_exception_handlers = super().resolve_exception_handlers()
        return self._known_exception_handlers

    async def authorize_connection(self, connection: ASGIConnection[Any, Any, Any, Any]) -> None:
        """Raise unless every guard admits the request.

        Litestar hands each guard a copy of the handler. That is a tenth of the work of answering from the cache.
        """
        for guard in self.resolve_guards():
            await guard(connection, self)  # type: ignore[misc]

    def create_kwargs_model(self, path_parameters: Any) -> Any:
        """Return what the handler's arguments are made from, with constants in their place already."""
        model = super().create_kwargs_model(path_parameters)
        batches = model.dependency_batches
        constants = {
            each.key: each.provide.value
            for batch in batches
            for each in batch
            if isinstance(each.provide, Constant)
        }
        others = [{each for each in batch if each.key not in constants} for batch in batches]
        model.dependency_batches = [batch for batch in others if batch]

        async def add_constants(
            values: dict[str, Any], _: ASGIConnection[Any, Any, Any, Any]
        ) -> None:
            values.update(constants)

        if constants:
            # First, for the dependencies that are made of them.
            model.extractors.insert(0, add_constants)
        return model

    async def to_response(self, app: Any, data: Any, request: Any) -> ASGIApp:
        """Return the answer to send. Structs become JSON directly, without Litestar's cookies and background tasks."""
        if isinstance(data, EncodedJSON):
            return data
        if self._is_plain:
            is_bare = type(data) is Response and not (
                data.headers or data.cookies or data.background
            )
            content = data.content if is_bare else data
            if isinstance(content, msgspec.Struct | list):
                status = (is_bare and data.status_code) or self.status_code
                return EncodedJSON(msgspec.json.encode(content), status)
        return await super().to_response(app, data, request)


def parameter_names(controllers: Iterable[type[Controller]]) -> set[str]:
    """Return the names of all parameters of these controllers' handlers."""
    return {
        name
        for controller in controllers
        for _, handler in getmembers(
            controller, lambda member: isinstance(member, HTTPRouteHandler)
        )
        for name in signature(handler.fn).parameters
    }


def get(path: str | None = None, **options: Any) -> RouteHandler:
    return RouteHandler(path, http_method=HttpMethod.GET, **options)


def post(path: str | None = None, **options: Any) -> RouteHandler:
    return RouteHandler(path, http_method=HttpMethod.POST, **options)


def put(path: str | None = None, **options: Any) -> RouteHandler:
    return RouteHandler(path, http_method=HttpMethod.PUT, **options)


def patch(path: str | None = None, **options: Any) -> RouteHandler:
    return RouteHandler(path, http_method=HttpMethod.PATCH, **options)


def delete(path: str | None = None, **options: Any) -> RouteHandler:
    return RouteHandler(path, http_method=HttpMethod.DELETE, **options)
