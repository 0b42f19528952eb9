"""The documented routes: the parameters, bodies and answers of each, read from its handler."""

from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import ResponseSpec
from litestar.openapi.spec import Operation
from litestar.response import File, Response, Stream
from litestar.routes import HTTPRoute

from kernapay.core.errors import (
    Forbidden,
    InvalidInput,
    KernaPayError,
    NotFound,
    TooLarge,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
)
from kernapay.security.authentication import PUBLIC
from kernapay.security.guards import (
    HasFreshProof,
    HasRole,
    HasScope,
    IsPerson,
    IsUnscoped,
    NotVerified,
    ProofRequired,
    ScopeMissing,
)
from kernapay.security.principal import Role
from kernapay.security.rate_limits import RateLimited
from kernapay.web.body_limits import BodyTooSlow, UnsupportedMediaType
from kernapay.web.openapi.responses import OTHER_FORMS, RAW_BODY, problems
from kernapay.web.problems import Problem

_NEEDS_DATABASE: Final = "/v1/api/"


@dataclass(frozen=True)
class DocumentedRoute:
    """A handler, its operation in the document, and the types that cross the wire."""

    path: str
    handler: HTTPRouteHandler
    operation: Operation

    @property
    def body(self) -> Any:
        """The type of the body; None without one."""
        field = self.handler.parsed_data_field
        return field.annotation if field is not None else self.handler.opt.get(RAW_BODY)

    @property
    def answers(self) -> dict[int, tuple[Any, str]]:
        """The type and the description of every successful answer, by status."""
        returned = self.handler.parsed_fn_signature.return_type
        answer = returned.annotation
        if returned.is_subclass_of((File, Stream)) or OTHER_FORMS in self.handler.opt:
            answer = bytes
        elif returned.is_subclass_of(Response):
            answer = returned.inner_types[0].annotation
        status = self.handler.status_code
        description = self.handler.response_description or f"{HTTPStatus(status).phrase}."
        return {status: (answer, description)} | {
            status: (spec.data_container, spec.description)
            for status, spec in (self.handler.responses or {}).items()
            if spec.data_container is not Problem
        }

    @property
    def errors(self) -> dict[int, ResponseSpec]:
        """The errors that the handler declares, and those that follow from its path, guards and body."""
        own = {
            status: spec
            for status, spec in (self.handler.responses or {}).items()
            if spec.data_container is Problem
        }
        general = problems(*self._general_errors())
        return {
            status: _merge(general.get(status), own.get(status))
            for status in sorted({*own, *general})
        }

    def _general_errors(self) -> Iterator[type[KernaPayError]]:
        if self.body is not None or self.operation.parameters:
            yield InvalidInput
        if self.body is not None:
            yield from (TooLarge, BodyTooSlow, UnsupportedMediaType)
        if not self.handler.opt.get(PUBLIC):
            yield Unauthenticated
        guards = self.handler.resolve_guards()
        if any(isinstance(guard, HasScope) for guard in guards):
            yield ScopeMissing
        allowed = [guard.roles for guard in guards if hasattr(guard, "roles")]
        is_restricted = any(frozenset(Role) - roles for roles in allowed)
        if is_restricted or any(isinstance(guard, IsPerson | IsUnscoped) for guard in guards):
            yield Forbidden
        if any(isinstance(guard, HasRole) and guard.needs_working_account for guard in guards):
            yield NotVerified
        if any(isinstance(guard, HasFreshProof) for guard in guards):
            yield ProofRequired
        if "{" in self.path:
            yield NotFound
        # A change that only some roles may make is audited, and the audit log takes so many of an account.
        is_audited = is_restricted and not self.handler.http_methods <= {"GET", "HEAD"}
        if is_audited or any(isinstance(guard, RateLimited) for guard in guards):
            yield TooManyRequests
        if self.path.startswith(_NEEDS_DATABASE):
            yield Unavailable


def documented_routes(app: Litestar) -> Iterator[DocumentedRoute]:
    paths = app.openapi_schema.paths or {}
    for route in app.routes:
        if not isinstance(route, HTTPRoute) or route.path_format not in paths:
            continue
        for handler in route.route_handlers:
            for method in handler.http_methods - {"OPTIONS", "HEAD"}:
                operation = getattr(paths[route.path_format], method.lower())
                if operation is not None:
                    yield DocumentedRoute(route.path_format, handler, operation)


def _merge(general: ResponseSpec | None, own: ResponseSpec | None) -> ResponseSpec:
    if general is None or own is None:
        return general or own  # type: ignore[return-value]
    # A handler may declare an error that its guards imply.
    lines = dict.fromkeys(f"{general.description}\n{own.description}".splitlines())
    examples = {each.id: each for each in (*(general.examples or ()), *(own.examples or ()))}
    return ResponseSpec(Problem, description="\n".join(lines), examples=list(examples.values()))
