"""JSON schemas as msgspec and Litestar write them, adapted for generators of clients, and examples made from them."""

import re
from collections.abc import Mapping
from dataclasses import replace
from inspect import cleandoc
from typing import Any, Final

from litestar.openapi.spec import Parameter, Reference, Schema

from kernapay.core.clock import INSTANT_EXAMPLE
from kernapay.core.ids import OBJECT_ID_EXAMPLE, OBJECT_ID_PATTERN

REFS: Final = "#/components/schemas/"
_GENERIC: Final = re.compile(r"^(\w+?)_(\w+)_$")
# Parameters that mean the same on every route.
_COMMON: Final = {
    "count": "The maximum number of entries.",
    "skip": "The number of entries to skip.",
    "before": "Only entries from before this time.",
    "after": "Only entries from this time or later.",
    "createdBefore": "Only what was created before this time.",
    "createdAfter": "Only what was created at this time or later.",
    "status": "Only entries with this status.",
    "type": "Only entries of this type.",
    "event": "Only events with this name, such as `payment.captured`.",
    "user_id": "The account's `_id`.",
    "session_id": "The session's `_id`.",
    "dispute_id": "The gateway's id of the dispute.",
    "event_id": "The gateway's id of the event.",
    "report_id": "The report's `_id`.",
    "finding_id": "The finding's `_id`.",
    "key_id": "The key's `_id`.",
    "endpoint_id": "The endpoint's `_id`.",
    "endpointId": "The endpoint's `_id`.",
    "delivery_id": "The delivery's `_id`.",
    "state": "Only entries in this state.",
}


# In a client, all of them stand side by side, so that the name of a class in its slice may say too little.
_NAMES: Final = {
    "Bucket": "FiguresOfTime",
    "By": "PeriodBy",
    "Device": "SignedInDevice",
    "Door": "ActorDoor",
    "EndReason": "KeyEndReason",
    "EntryKind": "StoryEntryKind",
    "Figures": "PaymentFigures",
    "Group": "FiguresOfGroup",
    "Kind": "FindingKind",
    "Message": "Confirmation",
    "Payload": "GatewayEventPayload",
    "Received": "GatewayEventReceived",
    # In a model of this name, a generator of Python hides the class behind its one property.
    "RecoveryCodes": "RecoveryCodesShown",
    "Refresh": "TokenRefresh",
    "Remainder": "ErasureRemainder",
    "RowKind": "ExportRows",
    "Scope": "ApiKeyScope",
    "Source": "ChangeSource",
    "Status": "PaymentState",
    "Unit": "AmountUnit",
}


def component_name(name: str) -> str:
    """Return `PaymentCreatedSuccess` for `Success_PaymentCreated_`, and `PaymentState` for `Status`."""
    return _NAMES.get(name) or _GENERIC.sub(r"\2\1", name)


def adapt_schema(schema: Any, title: str | None = None) -> Any:
    """Return msgspec's schema with readable names, portable patterns and the type of enums."""
    if isinstance(schema, list):
        return [adapt_schema(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    changed = {
        key: value if key in ("examples", "default", "enum") else adapt_schema(value)
        for key, value in schema.items()
    }
    if title is not None:
        changed["title"] = title
        if "description" in changed:
            changed["description"] = cleandoc(changed["description"])
    if "$ref" in changed:
        changed["$ref"] = REFS + component_name(changed["$ref"].removeprefix(REFS))
    if "pattern" in changed:
        changed["pattern"] = _portable(changed["pattern"])
    if "enum" in changed:
        changed["type"] = "string"
    return changed


def replace_defaults(components: Mapping[str, Any]) -> None:
    """Describe defaults in words, and remove `default` from a schema.

    Generators read a `default` as "this property is always there", and then demand it of whoever sends the object.
    """
    for schema in components.values():
        for key, field in schema.get("properties", {}).items():
            default = field.pop("default", None)
            if default not in (None, "", [], {}) and key not in schema.get("required", ()):
                said = default if isinstance(default, str) else str(default).lower()
                field["description"] = f"{field['description']} Default: `{said}`."


def adapt_parameter(
    parameter: Parameter, components: Mapping[str, Any], own: Mapping[str, Any]
) -> None:
    """Describe the parameter, and drop null: an optional parameter is left out, never null.

    Refer to an enum in our components, so that a client has one type for it. Inline one that is in Litestar's only.
    """
    parameter.description = parameter.description or _COMMON.get(parameter.name)
    schema: Any = parameter.schema
    only: Any = schema
    if isinstance(schema, Schema) and (parts := schema.one_of or schema.all_of):
        (only,) = (part for part in parts if getattr(part, "type", None) != "null")
    if isinstance(only, Reference):
        name = only.ref.removeprefix(REFS)
        if component_name(name) in own:
            parameter.schema = Reference(ref=REFS + component_name(name))
            return
        only = components[name]
    if only is not schema:
        kept = schema if isinstance(schema, Schema) else only
        kind = {"type": only.type, "enum": only.enum, "format": only.format}
        schema = replace(kept, **kind, one_of=None, all_of=None)
    _round_bounds(schema)
    schema.pattern = schema.pattern and _portable(schema.pattern)
    parameter.schema = schema


def example_of(schema: Mapping[str, Any], components: Mapping[str, Any], name: str = "") -> Any:
    """Return an example, assembled from the examples of the fields."""
    if "examples" in schema:
        return schema["examples"][0]
    if "$ref" in schema:
        target = components[schema["$ref"].removeprefix(REFS)]
        return schema.get("default", example_of(target, components))
    if "anyOf" in schema:
        return example_of(schema["anyOf"][0], components, name)
    if schema.get("type") == "array" and "items" in schema:
        return [example_of(schema["items"], components)]
    if "properties" in schema:
        return {
            key: example_of(field, components, key) for key, field in schema["properties"].items()
        }
    if "enum" in schema:
        return schema.get("default", schema["enum"][0])
    return schema.get("default", _plain_example(schema, name))


def _round_bounds(schema: Schema) -> None:
    # Litestar writes 100 as 100.0.
    for bound in ("minimum", "maximum"):
        value = getattr(schema, bound)
        if isinstance(value, float) and value.is_integer():
            setattr(schema, bound, int(value))


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


def _portable(pattern: str) -> str:
    """Return the pattern without the lookahead that only Python needs, and without lone surrogates.

    JSON cannot carry lone surrogates, and not every regex engine can name them.
    """
    return pattern.removesuffix(r"(?!\n)").replace(r"\ud800-\udfff", "")
