"""What every handler keeps to, whoever writes it."""

import inspect
from collections.abc import Callable, Iterator
from typing import Any, get_args, get_origin

import msgspec
import pytest
from litestar import Litestar, Response, get
from litestar.di import NamedDependency, Provide

from kernapay.security.authentication import PUBLIC
from kernapay.security.guards import HasRole, SignedIn
from kernapay.web.handlers import RouteHandler
from kernapay.web.openapi.document import write_document
from tests.house.routes import Route, body_structs, routes


def _is_async(call: Any) -> bool:
    return inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(
        getattr(call, "__call__", None)  # noqa: B004
    )


def _unguarded(found: Route) -> bool:
    """Tell whether a route is neither public nor behind a guard: the middleware alone would let any role in."""
    return not found.handler.opt.get(PUBLIC) and not found.handler.resolve_guards()


@pytest.mark.owasp(line="API5")
def test_every_route_is_guarded_or_marked_public(application: Litestar) -> None:
    assert [found.name for found in routes(application) if _unguarded(found)] == []


def test_no_guard_gets_a_copy_of_its_handler(application: Litestar) -> None:
    """Litestar's own decorators would copy the handler for each guard of each request."""
    guarded = [found for found in routes(application) if found.handler.resolve_guards()]
    assert guarded
    assert [found.name for found in guarded if not isinstance(found.handler, RouteHandler)] == []


def test_a_route_that_forgets_its_guard_would_be_seen() -> None:
    @get("/forgotten")
    async def forgotten() -> None: ...

    @get("/public", opt={PUBLIC: True})
    async def public() -> None: ...

    @get("/guarded", guards=[SignedIn()])
    async def guarded() -> None: ...

    app = Litestar([forgotten, public, guarded], openapi_config=None, logging_config=None)
    assert [found.name for found in routes(app) if _unguarded(found)] == ["GET /forgotten"]


def test_a_public_route_asks_for_no_role(application: Litestar) -> None:
    """Nobody is signed in there: such a guard could only fail."""
    contradictory = [
        found.name
        for found in routes(application)
        if found.handler.opt.get(PUBLIC)
        and any(isinstance(guard, HasRole) for guard in found.handler.resolve_guards())
    ]
    assert contradictory == []


def test_every_handler_is_asynchronous(application: Litestar) -> None:
    blocking = [found.name for found in routes(application) if not _is_async(found.handler.fn)]
    assert blocking == []


def test_every_guard_is_asynchronous(application: Litestar) -> None:
    """The framework sends a plain one through a thread, at every request."""
    guards: set[Callable[..., Any]] = {
        guard for found in routes(application) for guard in found.handler.resolve_guards()
    }
    assert guards
    assert [guard for guard in guards if not _is_async(guard)] == []


@pytest.mark.owasp(line="API3")
def test_every_body_refuses_unknown_fields(application: Litestar) -> None:
    structs = {struct for found in routes(application) for struct in body_structs(found.handler)}
    assert len(structs) >= 5, "the bodies were not found"
    lenient = [s.__name__ for s in structs if not s.__struct_config__.forbid_unknown_fields]
    assert lenient == []


@pytest.mark.owasp(line="API4")
def test_every_body_field_is_bounded(application: Litestar) -> None:
    """Text and lists without a largest length are an invitation."""
    unbounded = []
    for found in routes(application):
        for struct in body_structs(found.handler):
            schema = msgspec.json.schema(struct)["$defs"][struct.__name__]
            for each in msgspec.structs.fields(struct):
                if isinstance(msgspec.inspect.type_info(each.type), msgspec.inspect.DateTimeType):
                    continue
                name, field = each.encode_name, schema["properties"][each.encode_name]
                for choice in field.get("anyOf", [field]):
                    bounded = {
                        "string": {"maxLength", "pattern", "enum", "format"},
                        "array": {"maxItems"},
                        "object": {"maxProperties"},
                        "integer": {"maximum"},
                    }.get(choice.get("type"), set())
                    if bounded and not bounded & choice.keys():
                        unbounded.append(f"{struct.__name__}.{name}")
    assert unbounded == []


def _misnamed(found: Route) -> list[str]:
    """Return the injected parameters whose name does not end in what they are."""
    return [
        f"{found.name}: {name}"
        for name, parameter in found.handler.parsed_fn_signature.parameters.items()
        if parameter.is_di_field
        for ending in ("Repository", "Service")
        if getattr(parameter.annotation, "__name__", "").endswith(ending)
        and not name.endswith(f"_{ending.lower()}")
    ]


def test_injection_keys_end_in_what_they_are(application: Litestar) -> None:
    found = list(routes(application))
    assert [name for each in found for name in _misnamed(each)] == []


def test_an_injection_key_that_hides_what_it_is_would_be_seen() -> None:
    class ThingRepository: ...

    class ThingService: ...

    @get("/things")
    async def things(
        thing_service: NamedDependency[ThingService],
        thing_repository: NamedDependency[ThingRepository],
        things: NamedDependency[ThingRepository],
        repository: NamedDependency[ThingRepository],
        thing_repository_service: NamedDependency[ThingRepository],
        service: NamedDependency[ThingService],
        clock: NamedDependency[object],
    ) -> None: ...

    names = inspect.signature(things.fn).parameters
    dependencies = {name: Provide(lambda: None, sync_to_thread=False) for name in names}
    app = Litestar([things], dependencies=dependencies, openapi_config=None, logging_config=None)
    (found,) = routes(app)
    assert [name.partition(": ")[2] for name in _misnamed(found)] == [
        "things",
        "repository",
        "thing_repository_service",
        "service",
    ]


def _envelope(found: Route) -> str | None:
    """Return the name of the struct that carries a list and how many there are."""
    parts: list[Any] = [found.handler.parsed_fn_signature.return_type.annotation]
    while parts:
        annotation = parts.pop()
        parts.extend(get_args(annotation))
        if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
            fields = {each.name: each.type for each in msgspec.structs.fields(annotation)}
            if "total" in fields and any(get_origin(kind) is list for kind in fields.values()):
                return annotation.__name__
    return None


def test_no_list_has_yet_another_envelope(application: Litestar) -> None:
    """Clients know these; the next list that is counted brings one generic page for all that follow."""
    envelopes = {_envelope(found) for found in routes(application)} - {None}
    assert envelopes == {"UserPage", "AuditPage", "ApiKeyPage"}


def test_an_envelope_is_found_inside_a_response() -> None:
    class Page(msgspec.Struct):
        total: int
        items: list[str]

    class Sum(msgspec.Struct):
        total: int

    @get("/pages")
    async def pages() -> Response[Page]:
        return Response(Page(0, []))

    @get("/sums")
    async def sums() -> Sum:
        return Sum(0)

    found = routes(Litestar([pages, sums], openapi_config=None, logging_config=None))
    assert {each.name: _envelope(each) for each in found} == {
        "GET /pages": "Page",
        "GET /sums": None,
    }


@pytest.mark.parametrize("kind", ["summary", "operation_id", "tags"])
def test_every_operation_is_documented(application: Litestar, kind: str) -> None:
    missing = [
        f"{method} {path}"
        for path, item in write_document(application)["paths"].items()
        for method, operation in item.items()
        if not operation.get({"operation_id": "operationId"}.get(kind, kind))
    ]
    assert missing == []


def test_operation_ids_are_unique(application: Litestar) -> None:
    ids = [
        operation["operationId"]
        for item in write_document(application)["paths"].values()
        for operation in item.values()
    ]
    assert len(ids) > 8
    assert len(ids) == len(set(ids))


def _patterns(document: object) -> Iterator[str]:
    if isinstance(document, dict):
        if isinstance(pattern := document.get("pattern"), str):
            yield pattern
        document = list(document.values())
    if isinstance(document, list | tuple):
        for each in document:
            yield from _patterns(each)


@pytest.mark.owasp(line="API8")
def test_no_pattern_takes_a_line_break_after_its_end(application: Litestar) -> None:
    """In Python a bare `$` does: an id with one would pass, and then be no id."""
    # Those that are enforced: in the document `$` means what it means in other languages.
    handlers = [found.handler for found in routes(application)]
    structs = {struct for handler in handlers for struct in body_structs(handler)}
    patterns = set(_patterns(list(msgspec.json.schema_components(structs))))
    for handler in handlers:
        for parameter in handler.parsed_fn_signature.parameters.values():
            patterns.add(getattr(parameter.kwarg_definition, "pattern", None) or "(?!)")
    assert len(patterns) > 15, "the patterns were not found"
    assert [pattern for pattern in patterns if pattern.endswith("$")] == []
