"""An inbox without texts of the business: notes and descriptions may name a person.

The service stores events without them, except for the note that it wrote itself. Those that are there get the same, in
batches. What is personal goes as well: an older version may have stored it beside migration 0039.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from pymongo import UpdateOne
from pymongo.database import Database

_BATCH = 500
# As the service has them.
_PERSONAL = re.compile(
    r"(?:^|_)(?:e?mail|contact|phone|mobile|vpa|upi_id|name|address|account_number|holder|dob|birth|pan|gstin|ip"
    r"|user_agent|latitude|longitude|customer_details)(?:$|_)"
)
_TEXT = re.compile(
    r"(?:^|_)(?:notes?|descriptions?|comments?|remarks?|narration|summary|terms|title|message|custom_fields?)$"
)
_NO_TEXT = frozenset({"error_description", "reason_description"})
_OWN = "kernapay_payment"
_LONGEST = 256
_FORM = re.compile(r"[0-9a-f]{24}(?:\|[\w.-]*){0,6}", re.ASCII)


def up(db: Database[dict[str, Any]]) -> None:
    changes: list[UpdateOne] = []
    for change in _cleared(db):
        changes.append(change)
        if len(changes) == _BATCH:
            db.webhook_events.bulk_write(changes, ordered=False)
            changes = []
    if changes:
        db.webhook_events.bulk_write(changes, ordered=False)


def _cleared(db: Database[dict[str, Any]]) -> Iterator[UpdateOne]:
    for row in db.webhook_events.find({}, {"body": 1}, batch_size=_BATCH):
        try:
            # As the service reads it: bytes that are not UTF-8 keep no text from going.
            text = bytes(row["body"]).decode("utf-8-sig", "replace")
            document = json.loads(text, parse_constant=lambda _: None)
            if _clear(document):
                body = json.dumps(document, separators=(",", ":")).encode()
                yield UpdateOne({"_id": row["_id"]}, {"$set": {"body": body}})
        except (ValueError, RecursionError, KeyError, TypeError):
            # It waits for a person, or will be gone in 45 days.
            continue


def _clear(value: Any) -> bool:
    if isinstance(value, list):
        return any([_clear(each) for each in value])  # noqa: C419 - all of them
    if not isinstance(value, dict):
        return False
    has_any = False
    for name, each in value.items():
        if each in (None, "", [], {}):
            continue
        lowered = name.lower()
        if lowered == "notes":
            value[name] = _own_of(each)
            has_any |= value[name] != each
        elif _PERSONAL.search(lowered) or (_TEXT.search(lowered) and lowered not in _NO_TEXT):
            value[name] = None
            has_any = True
        else:
            has_any |= _clear(each)
    return has_any


def _own_of(notes: Any) -> Any:
    note = notes.get(_OWN) if isinstance(notes, dict) else None
    is_ours = isinstance(note, str) and len(note) <= _LONGEST and _FORM.fullmatch(note)
    return {_OWN: note} if is_ours else None


def down(_: Database[dict[str, Any]]) -> None:
    """Keep the rows as they are. What is gone stays gone."""
