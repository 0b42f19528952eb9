"""The descriptions of properties by name: a name means the same in the whole API."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

_FILE: Final = Path(__file__).with_name("glossary.toml")


def describe_properties(schemas: Mapping[str, Any]) -> None:
    """Give each property that the code does not describe the sentence of the glossary."""
    glossary = read_glossary()
    for name, schema in schemas.items():
        own = glossary["types"].get(name, {})
        for key, value in schema.get("properties", {}).items():
            sentence = own.get(key) or glossary["all"].get(key)
            if sentence and "description" not in value:
                value["description"] = sentence


def read_glossary() -> dict[str, dict[str, Any]]:
    """Return the sentences: of `all` by property, of `types` by type and property."""
    return tomllib.loads(_FILE.read_text("utf-8"))
