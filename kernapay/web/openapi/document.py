"""The OpenAPI document. Litestar writes it, and this module completes it.

msgspec describes the bodies and answers, because it enforces them. Litestar's own schemas of structs lose the limits
inside unions and maps, and whether unknown fields are refused.
"""

from collections.abc import Mapping
from http import HTTPStatus
from inspect import cleandoc
from threading import Lock
from typing import Any, Final

import msgspec
from litestar import Litestar
from litestar.openapi import ResponseSpec
from litestar.openapi.spec import (
    Example,
    OpenAPIHeader,
    OpenAPIMediaType,
    OpenAPIResponse,
    Parameter,
    RequestBody,
    Schema,
)

from kernapay.web.openapi.access import access_of
from kernapay.web.openapi.glossary import describe_properties
from kernapay.web.openapi.problem_codes import list_codes
from kernapay.web.openapi.responses import OTHER_FORMS
from kernapay.web.openapi.routes import DocumentedRoute, documented_routes
from kernapay.web.openapi.schemas import (
    REFS,
    adapt_parameter,
    adapt_schema,
    component_name,
    example_of,
    replace_defaults,
)
from kernapay.web.openapi.webhooks import WEBHOOKS, Message, describe_message, restore_examples
from kernapay.web.problems import MEDIA_TYPE, Problem

EVENT_STREAM: Final = "text/event-stream"
DEEP_OBJECTS: Final = "deep_objects"
"""The key in a handler's `opt` for the schemas of query parameters that are sent as `name[key]=value`."""
_TEXTS: Final = ("text/csv", "text/html", "application/jsonl")
_writing: Final = Lock()
_WITH_RETRY_AFTER: Final = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
_RETRY_AFTER: Final = OpenAPIHeader(
    schema=Schema(type="integer"),  # type: ignore[arg-type]
    description="Seconds to wait before repeating the call.",
)


def write_document(app: Litestar) -> dict[str, Any]:
    """Return the application's OpenAPI document, as it is served.

    The first call takes long: run it neither on the event loop nor while a process starts.
    """
    with _writing:
        if "document" not in app.state:
            _complete(app)
            plugin: Any = app.plugins.get("OpenAPIPlugin")
            app.state["document"] = plugin.provide_openapi_schema()
            restore_examples(app.state["document"], app.state.get(WEBHOOKS, ()))
    document: dict[str, Any] = app.state["document"]
    return document


def _complete(app: Litestar) -> None:
    """Describe bodies, answers, errors and parameters in Litestar's document."""
    routes = list(documented_routes(app))
    requests = {route.body for route in routes if route.body is not None}
    answers = {answer for route in routes for answer, _ in route.answers.values()}
    messages: tuple[Message, ...] = app.state.get(WEBHOOKS, ())
    types = [*requests, *answers, Problem, *(message.body for message in messages)]
    schemas, components = msgspec.json.schema_components(types, ref_template=REFS + "{name}")
    schema_of = {kind: adapt_schema(schema) for kind, schema in zip(types, schemas, strict=True)}
    _, in_requests = msgspec.json.schema_components(list(requests))
    schemas_by_name = {
        component_name(name): adapt_schema(schema, component_name(name))
        for name, schema in components.items()
    }
    for name in schemas_by_name.keys() - {component_name(name) for name in in_requests}:
        if "properties" in schemas_by_name[name]:
            # An answer contains every field, also those that have a default.
            schemas_by_name[name]["required"] = list(schemas_by_name[name]["properties"])
    describe_properties(schemas_by_name)
    list_codes(schemas_by_name)
    document: Any = app.openapi_schema
    writer = _Writer(schema_of, schemas_by_name, document.components.schemas)
    for route in routes:
        writer.write(route)
    document.webhooks = {
        message.name: describe_message(message, schema_of[message.body]) for message in messages
    }
    replace_defaults(schemas_by_name)
    document.components.schemas = dict(sorted(schemas_by_name.items()))


def _file(form: str) -> Any:
    return {"type": "string"} | ({} if form in _TEXTS else {"format": "binary"})


class _Writer:
    """Write the operations. `components` are msgspec's schemas, `litestar_components` Litestar's."""

    def __init__(
        self,
        schema_of: Mapping[Any, Any],
        components: Mapping[str, Any],
        litestar_components: Mapping[str, Any],
    ) -> None:
        self._schema_of = schema_of
        self._components = components
        self._litestar_components = litestar_components

    def write(self, route: DocumentedRoute) -> None:
        operation = route.operation
        summary, _, rest = cleandoc(route.handler.fn.__doc__ or "").partition(".")
        paragraphs = [rest.strip()]
        if access := access_of(route.handler):
            operation.security = access.security
            paragraphs.append(access.note)
        operation.summary = summary
        operation.description = "\n\n".join(filter(None, paragraphs)) or None
        for parameter in operation.parameters or ():
            if isinstance(parameter, Parameter):
                adapt_parameter(parameter, self._litestar_components, self._components)
                if deep := route.handler.opt.get(DEEP_OBJECTS, {}).get(parameter.name):
                    parameter.style, parameter.explode, parameter.schema = "deepObject", True, deep
        if route.body is not None:
            operation.request_body = RequestBody(required=True, content=self._json(route.body))
        successes: dict[str, OpenAPIResponse] = {
            str(status): OpenAPIResponse(
                description=description, content=self._content(route, answer)
            )
            for status, (answer, description) in route.answers.items()
        }
        operation.responses = successes | {  # type: ignore[assignment]
            str(status): self._problem(status, spec) for status, spec in route.errors.items()
        }

    def _json(self, kind: Any) -> dict[str, OpenAPIMediaType]:
        schema = self._schema_of[kind]
        example = example_of(schema, self._components)
        return {"application/json": OpenAPIMediaType(schema=schema, example=example)}

    def _content(self, route: DocumentedRoute, answer: Any) -> dict[str, OpenAPIMediaType]:
        if answer is None:
            return {}
        if answer is bytes:
            forms = (str(route.handler.media_type), *route.handler.opt.get(OTHER_FORMS, ()))
            return {form: OpenAPIMediaType(schema=_file(form)) for form in forms}
        content = self._json(answer)
        if route.handler.media_type == EVENT_STREAM:
            # OpenAPI before 3.2: the schema is that of one event.
            return {EVENT_STREAM: content["application/json"]}
        return content

    def _problem(self, status: int, spec: ResponseSpec) -> OpenAPIResponse:
        examples = {
            str(example.id): Example(summary=example.summary, value=example.value)
            for example in spec.examples or ()
        }
        headers = {"Retry-After": _RETRY_AFTER} if status in _WITH_RETRY_AFTER else None
        return OpenAPIResponse(
            description=spec.description,
            headers=headers,  # type: ignore[arg-type]
            content={
                MEDIA_TYPE: OpenAPIMediaType(schema=self._schema_of[Problem], examples=examples)  # type: ignore[arg-type]
            },
        )
