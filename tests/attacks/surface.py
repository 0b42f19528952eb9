"""What there is to attack: every operation of the served document, its parameters and its fields."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from litestar import Litestar

from kernapay.security.guards import HasRole
from kernapay.security.principal import Role
from tests.aliases import Json
from tests.house.routes import routes

# What the gateway sends: signed, and it grows without asking us.
WEBHOOK = "POST /v1/api/payments/webhook"


class Field(NamedTuple):
    """A place for a value: in `path`, `query`, `header` or `body`."""

    place: str
    name: str
    schema: Mapping[str, Any]

    @property
    def choices(self) -> list[Mapping[str, Any]]:
        return list(self.schema.get("anyOf", [self.schema]))

    def takes(self, kind: str) -> bool:
        return any(choice.get("type") == kind for choice in self.choices)


class Operation(NamedTuple):
    """One method of one path."""

    name: str
    method: str
    path: str
    role: Role | None
    """A role that is let in; None where nobody has to be signed in."""
    takes_tokens: bool
    """Whether it looks at a token, also where nobody has to be signed in."""
    admits: frozenset[Role]
    parameters: tuple[Field, ...]
    body: Mapping[str, Any] | None
    """The example of the document."""
    fields: tuple[Field, ...]

    def parameters_in(self, place: str) -> list[Field]:
        return [field for field in self.parameters if field.place == place]


def operations(document: Mapping[str, Any], application: Litestar) -> Iterator[Operation]:
    """Yield every documented operation, with the roles that its guards admit."""
    guarded = {found.name: found.handler.resolve_guards() for found in routes(application)}
    for path, item in document["paths"].items():
        for method, described in item.items():
            name = f"{method.upper()} {path}"
            security = described.get("security", document["security"])
            public = {} in security
            admits = frozenset(Role).intersection(
                *(guard.roles for guard in guarded[name] if isinstance(guard, HasRole))
            )
            content = described.get("requestBody", {}).get("content", {}).get("application/json")
            yield Operation(
                name,
                method.upper(),
                path,
                None if public else next(role for role in Role if role in admits),
                "BearerToken" in str(security),
                admits,
                tuple(
                    Field(each["in"], each["name"], _deep(document, each["schema"]))
                    for each in described.get("parameters", ())
                ),
                content and content["example"],
                tuple(_fields(document, content["schema"])) if content else (),
            )


def _fields(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[Field]:
    for name, field in _deep(document, schema)["properties"].items():
        yield Field("body", name, _deep(document, field))


def _deep(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" in schema:
        found: Json = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        return found
    if "anyOf" in schema:
        return {**schema, "anyOf": [_deep(document, choice) for choice in schema["anyOf"]]}
    return schema
