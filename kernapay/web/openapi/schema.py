"""What the OpenAPI document lacks when Litestar has written it.

Bodies and answers are described by msgspec, which enforces them; Litestar's own description of a struct loses
the limits inside unions and maps, and whether unknown fields are refused.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from inspect import cleandoc
from threading import Lock
from typing import Any, Final

import msgspec
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import ResponseSpec
from litestar.openapi.spec import (
    Example,
    OpenAPIHeader,
    OpenAPIMediaType,
    OpenAPIResponse,
    Operation,
    Parameter,
    Reference,
    RequestBody,
    Schema,
)
from litestar.response import File, Response, Stream
from litestar.routes import HTTPRoute

from kernapay.core.clock import INSTANT_EXAMPLE
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
from kernapay.core.ids import OBJECT_ID_EXAMPLE, OBJECT_ID_PATTERN
from kernapay.security.authentication import PUBLIC
from kernapay.security.principal import Role
from kernapay.security.rate_limits import RateLimited
from kernapay.web.body_limits import BodyTooSlow, CompressedBody
from kernapay.web.openapi.responses import RAW_BODY, problems
from kernapay.web.problems import MEDIA_TYPE, Problem

_writing: Final = Lock()
_REFS: Final = "#/components/schemas/"
_GENERIC: Final = re.compile(r"^(\w+?)_(\w+)_$")
_NEEDS_STORES: Final = "/v1/api/"
_RETRIED: Final = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
# Parameters that mean the same wherever they stand.
_COMMON: Final = {
    "count": "How many entries at most.",
    "skip": "How many entries to leave out, from the beginning.",
    "before": "Only what happened before this moment.",
    "after": "Only what happened at this moment or later.",
    "createdBefore": "Only what was made before this moment.",
    "createdAfter": "Only what was made at this moment or later.",
    "status": "Only entries of this status.",
    "type": "Only entries of this type.",
    "event": "Only events of this name, such as `payment.captured`.",
    "user_id": "The account's `_id`.",
    "session_id": "The session's `_id`.",
    "event_id": "The event's id at the gateway.",
    "report_id": "The report's `_id`.",
    "finding_id": "The finding's `_id`.",
    "key_id": "The key's `_id`.",
}
_RETRY_AFTER: Final = OpenAPIHeader(
    schema=Schema(type="integer"),  # type: ignore[arg-type]
    description="Seconds after which a repeat is worth while.",
)


@dataclass(frozen=True)
class _Route:
    """A documented handler, with its place in the document and the types that cross the wire."""

    path: str
    handler: HTTPRouteHandler
    operation: Operation

    @property
    def body(self) -> Any:
        field = self.handler.parsed_data_field
        return field.annotation if field is not None else self.handler.opt.get(RAW_BODY)

    @property
    def answers(self) -> dict[int, tuple[Any, str]]:
        """The type and the description of every good answer, by status."""
        returned = self.handler.parsed_fn_signature.return_type
        answer = returned.annotation
        if returned.is_subclass_of((File, Stream)):
            answer = bytes
        elif returned.is_subclass_of(Response):
            answer = returned.inner_types[0].annotation
        status = self.handler.status_code
        described = self.handler.response_description or f"{HTTPStatus(status).phrase}."
        return {status: (answer, described)} | {
            status: (spec.data_container, spec.description)
            for status, spec in (self.handler.responses or {}).items()
            if spec.data_container is not Problem
        }

    @property
    def errors(self) -> dict[int, ResponseSpec]:
        """The handler's own errors, and those that follow from where it stands."""
        own = {
            status: spec
            for status, spec in (self.handler.responses or {}).items()
            if spec.data_container is Problem
        }
        general = problems(*self._general_errors())
        return {
            status: _joined(general.get(status), own.get(status))
            for status in sorted({*own, *general})
        }

    def _general_errors(self) -> Iterator[type[KernaPayError]]:
        if self.body is not None or self.operation.parameters:
            yield InvalidInput
        if self.body is not None:
            yield from (TooLarge, BodyTooSlow, CompressedBody)
        if not self.handler.opt.get(PUBLIC):
            yield Unauthenticated
        allowed = [
            guard.roles for guard in self.handler.resolve_guards() if hasattr(guard, "roles")
        ]
        if any(frozenset(Role) - roles for roles in allowed):
            yield Forbidden
        if "{" in self.path:
            yield NotFound
        if any(isinstance(guard, RateLimited) for guard in self.handler.resolve_guards()):
            yield TooManyRequests
        if self.path.startswith(_NEEDS_STORES):
            yield Unavailable


def document(app: Litestar) -> dict[str, Any]:
    """Give the application's OpenAPI document, as it is served.

    The first call takes a while, so it is no work for an event loop, nor for the start of a process.
    """
    with _writing:
        if "document" not in app.state:
            _complete(app)
            plugin: Any = app.plugins.get("OpenAPIPlugin")
            app.state["document"] = plugin.provide_openapi_schema()
    written: dict[str, Any] = app.state["document"]
    return written


def _complete(app: Litestar) -> None:
    """Describe bodies, answers, errors and parameters in what Litestar has written."""
    routes = list(_routes(app))
    requests = {route.body for route in routes if route.body is not None}
    answers = {answer for route in routes for answer, _ in route.answers.values()}
    types = [*requests, *answers, Problem]
    schemas, components = msgspec.json.schema_components(types, ref_template=_REFS + "{name}")
    schema_of = {kind: _tidy(schema) for kind, schema in zip(types, schemas, strict=True)}
    _, strict = msgspec.json.schema_components(list(requests))
    described = {_pretty(name): _tidy(schema, _pretty(name)) for name, schema in components.items()}
    for name in described.keys() - {_pretty(name) for name in strict}:
        if "properties" in described[name]:
            # Nothing is left out of an answer, whatever its defaults are.
            described[name]["required"] = list(described[name]["properties"])
    document: Any = app.openapi_schema
    writer = _Writer(schema_of, described, document.components.schemas)
    for route in routes:
        writer.write(route)
    document.components.schemas = dict(sorted(described.items()))


class _Writer:
    def __init__(
        self,
        schema_of: Mapping[Any, Any],
        components: Mapping[str, Any],
        written: Mapping[str, Any],
    ) -> None:
        self._schema_of = schema_of
        self._components = components
        self._written = written

    def write(self, route: _Route) -> None:
        operation = route.operation
        summary, _, rest = cleandoc(route.handler.fn.__doc__ or "").partition(".")
        operation.summary, operation.description = summary, rest.strip() or None
        for parameter in operation.parameters or ():
            if isinstance(parameter, Parameter):
                _simplify(parameter, self._written)
        if route.body is not None:
            operation.request_body = RequestBody(required=True, content=self._json(route.body))
        good: dict[str, OpenAPIResponse] = {
            str(status): OpenAPIResponse(
                description=description, content=self._content(route, answer)
            )
            for status, (answer, description) in route.answers.items()
        }
        operation.responses = good | {  # type: ignore[assignment]
            str(status): self._problem(status, spec) for status, spec in route.errors.items()
        }

    def _json(self, kind: Any) -> dict[str, OpenAPIMediaType]:
        schema = self._schema_of[kind]
        return {
            "application/json": OpenAPIMediaType(schema=schema, example=self.example_of(schema))
        }

    def _content(self, route: _Route, answer: Any) -> dict[str, OpenAPIMediaType]:
        if answer is not bytes:
            return self._json(answer)
        binary: Any = {"type": "string", "format": "binary"}
        return {str(route.handler.media_type): OpenAPIMediaType(schema=binary)}

    def _problem(self, status: int, spec: ResponseSpec) -> OpenAPIResponse:
        examples = {
            str(example.id): Example(summary=example.summary, value=example.value)
            for example in spec.examples or ()
        }
        headers = {"Retry-After": _RETRY_AFTER} if status in _RETRIED else None
        return OpenAPIResponse(
            description=spec.description,
            headers=headers,  # type: ignore[arg-type]
            content={
                MEDIA_TYPE: OpenAPIMediaType(schema=self._schema_of[Problem], examples=examples)  # type: ignore[arg-type]
            },
        )

    def example_of(self, schema: Mapping[str, Any], name: str = "") -> Any:
        """Put an example together from those of the fields."""
        if "examples" in schema:
            return schema["examples"][0]
        if "$ref" in schema:
            target = self._components[schema["$ref"].removeprefix(_REFS)]
            return schema.get("default", self.example_of(target))
        if "anyOf" in schema:
            return self.example_of(schema["anyOf"][0], name)
        if schema.get("type") == "array" and "items" in schema:
            return [self.example_of(schema["items"])]
        if "properties" in schema:
            return {key: self.example_of(field, key) for key, field in schema["properties"].items()}
        if "enum" in schema:
            return schema.get("default", schema["enum"][0])
        return schema.get("default", _plain_example(schema, name))


def _plain_example(schema: Mapping[str, Any], name: str) -> Any:
    match schema.get("type"):
        case "boolean":
            return False
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "object":
            return {}
        case "array":
            return []
    if schema.get("format") == "date-time":
        return INSTANT_EXAMPLE
    if name.lower().endswith(("id", "by")) or schema.get("pattern") == _portable(OBJECT_ID_PATTERN):
        return OBJECT_ID_EXAMPLE
    return name


def _routes(app: Litestar) -> Iterator[_Route]:
    paths = app.openapi_schema.paths or {}
    for route in app.routes:
        if not isinstance(route, HTTPRoute) or route.path_format not in paths:
            continue
        for handler in route.route_handlers:
            for method in handler.http_methods - {"OPTIONS", "HEAD"}:
                operation = getattr(paths[route.path_format], method.lower())
                if operation is not None:
                    yield _Route(route.path_format, handler, operation)


def _joined(general: ResponseSpec | None, own: ResponseSpec | None) -> ResponseSpec:
    if general is None or own is None:
        return general or own  # type: ignore[return-value]
    return ResponseSpec(
        Problem,
        description=f"{general.description}\n{own.description}",
        examples=[*(general.examples or ()), *(own.examples or ())],
    )


def _pretty(name: str) -> str:
    """`Success_PaymentCreated_` reads as `PaymentCreatedSuccess`."""
    return _GENERIC.sub(r"\2\1", name)


def _tidy(schema: Any, title: str | None = None) -> Any:
    """Say in msgspec's schema what generators of clients want to hear."""
    if isinstance(schema, list):
        return [_tidy(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    tidy = {
        key: value if key in ("examples", "default", "enum") else _tidy(value)
        for key, value in schema.items()
    }
    if title is not None:
        tidy["title"] = title
        if "description" in tidy:
            tidy["description"] = cleandoc(tidy["description"])
    if "$ref" in tidy:
        tidy["$ref"] = _REFS + _pretty(tidy["$ref"].removeprefix(_REFS))
    if "pattern" in tidy:
        tidy["pattern"] = _portable(tidy["pattern"])
    if "enum" in tidy:
        tidy["type"] = "string"
    return tidy


def _simplify(parameter: Parameter, components: Mapping[str, Any]) -> None:
    """A parameter that may be left out is not one that may be null; an enum's values stand beside it."""
    parameter.description = parameter.description or _COMMON.get(parameter.name)
    schema: Any = parameter.schema
    if isinstance(schema, Reference):
        schema = components[schema.ref.removeprefix(_REFS)]
    elif schema.one_of:
        (only,) = (part for part in schema.one_of if getattr(part, "type", None) != "null")
        if isinstance(only, Reference):
            only = components[only.ref.removeprefix(_REFS)]
        schema = replace(schema, type=only.type, enum=only.enum, format=only.format, one_of=None)
    for bound in ("minimum", "maximum"):
        value = getattr(schema, bound)
        if isinstance(value, float) and value.is_integer():
            setattr(schema, bound, int(value))
    schema.pattern = schema.pattern and _portable(schema.pattern)
    parameter.schema = schema


def _portable(pattern: str) -> str:
    """Leave out what only Python's `$` needs, and lone surrogates, which JSON cannot carry nor every engine name."""
    return pattern.removesuffix(r"(?!\n)").replace(r"\ud800-\udfff", "")
