"""What clients may rely on, out of the OpenAPI document: one line for each thing."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from tests.aliases import Json

Outline = dict[str, str]
"""What a line is about, and what it is: `sent PaymentCreate.amount` is `integer, required`."""

_LIMITS: Final = (
    *("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"),
    *("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"),
    *("pattern", "format", "multipleOf"),
)


def outline_of(document: Json) -> Outline:
    """Return the calls, their parameters, bodies, answers and problems, the events, and the types of all these.

    Types come twice where they do: `sent` by clients, and `got` by them.
    """
    return dict(sorted(_Outliner(document).lines()))


def render(outline: Outline) -> str:
    return "".join(
        f"{about}: {what}\n" if what else f"{about}\n" for about, what in outline.items()
    )


def parse(text: str) -> Outline:
    return {about: what for about, _, what in (line.partition(": ") for line in text.splitlines())}


class _Outliner:
    def __init__(self, document: Json) -> None:
        self._document = document
        self._components: Json = document["components"]["schemas"]
        self._waiting: list[tuple[str, str]] = []
        self._seen: set[tuple[str, str]] = set()

    def lines(self) -> Iterator[tuple[str, str]]:
        for path, item in self._document["paths"].items():
            for method, operation in item.items():
                yield from self._call(f"{method.upper()} {path}", operation)
        for name, item in self._document["webhooks"].items():
            schema = item["post"]["requestBody"]["content"]["application/json"]["schema"]
            yield f"event {name}", self._type(schema, "got")
        while self._waiting:
            side, name = self._waiting.pop()
            yield from self._component(side, name)

    def _call(self, name: str, operation: Json) -> Iterator[tuple[str, str]]:
        yield f"call {name}", "deprecated" if operation.get("deprecated") else ""
        for each in operation.get("parameters", ()):
            about = f"parameter {each['in']} {each['name']} of {name}"
            yield about, self._field(each["schema"], "sent", bool(each.get("required")))
            yield from _limits(f"limit {about}", each["schema"])
        for form, content in operation.get("requestBody", {}).get("content", {}).items():
            yield f"body {form} of {name}", self._type(content["schema"], "sent")
        codes = []
        for status, answer in operation["responses"].items():
            for form, content in answer.get("content", {}).items():
                if form == "application/problem+json":
                    codes += [f"{status} {code}" for code in content.get("examples", {})]
                else:
                    yield f"answer {status} {form} of {name}", self._type(content["schema"], "got")
            if not answer.get("content"):
                yield f"answer {status} of {name}", ""
        yield f"problems of {name}", "|".join(codes)

    def _component(self, side: str, name: str) -> Iterator[tuple[str, str]]:
        schema = self._components[name]
        if "enum" in schema:
            for value in schema["enum"]:
                yield f"{side} {name} value {json.dumps(value)}", ""
        elif "properties" not in schema:
            yield f"{side} {name}", self._type(schema, side)
        for key, field in schema.get("properties", {}).items():
            about = f"{side} {name}.{key}"
            yield about, self._field(field, side, key in schema.get("required", ()))
            if side == "sent":
                yield from _limits(f"limit {about}", field)

    def _field(self, schema: Json, side: str, is_required: bool) -> str:
        what = self._type(schema, side)
        return f"{what}, required" if is_required else what

    def _type(self, schema: Mapping[str, Any], side: str) -> str:
        """Return the type in one word, or with `|` between several."""
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            if (side, name) not in self._seen:
                self._seen.add((side, name))
                self._waiting.append((side, name))
            return str(name)
        for parts in ("anyOf", "oneOf", "allOf"):
            if parts in schema:
                return "|".join(sorted({self._type(part, side) for part in schema[parts]}))
        if "const" in schema:
            return json.dumps(schema["const"])
        if "enum" in schema:
            return "|".join(sorted(json.dumps(value) for value in schema["enum"]))
        kind = schema.get("type", "any")
        if kind == "array" and "items" in schema:
            return f"[{self._type(schema['items'], side)}]"
        if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
            return "{" + self._type(schema["additionalProperties"], side) + "}"
        return "|".join(sorted(kind)) if isinstance(kind, list) else str(kind)


def _limits(about: str, schema: Json) -> Iterator[tuple[str, str]]:
    for part in (schema, *schema.get("anyOf", ())):
        for limit in _LIMITS:
            if limit in part:
                yield f"{about} {limit}", json.dumps(part[limit])
