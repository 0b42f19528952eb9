"""List every problem code with what to do, from the guide's tables, in the API document."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

_PAGE: Final = Path(__file__).parents[2] / "docs" / "errors.md"
_ROW: Final = re.compile(r"^\| `(\w+)` \| (\d{3}) \|.*?([^|]+) \|$", re.MULTILINE)
_LINK: Final = re.compile(r"\[([^\]]+)\]\([^)]+\)")


def list_codes(schemas: Mapping[str, Any]) -> None:
    """Add every code to the description of the schema of problems: the status, and what to do."""
    lines = [f"- `{code}` ({status}): {advice}" for code, status, advice in _read_codes()]
    schemas["Problem"]["description"] += "\n\n" + "\n".join(lines)


def _read_codes() -> Iterator[tuple[str, str, str]]:
    for code, status, advice in _ROW.findall(_PAGE.read_text("utf-8")):
        yield code, status, _LINK.sub(r"\1", advice).strip() + "."
