"""Names for types that many tests use."""

from collections.abc import Callable
from typing import Any

import httpx
from pymongo.database import Database

Json = dict[str, Any]
"""A JSON object, or a row of the database."""

Store = Database[Json]

RecordProperty = Callable[[str, object], None]
"""pytest's `record_property`; `table: …` as a name makes a row of the summary."""


def json_of(response: httpx.Response) -> Json:
    """Return the object in the body."""
    found: Json = response.json()
    return found
