"""Customers that were merged into others, what merges and erasures leave to the worker, and an inbox of no persons.

The service stores events without what is personal in them. Those that are there get the same, in batches.
"""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from pymongo import ASCENDING, DESCENDING, UpdateOne
from pymongo.database import Database

_EPOCH = datetime.fromtimestamp(0, UTC)
_BATCH = 500
# As the service has it.
_PERSONAL = re.compile(
    r"(?:^|_)(?:e?mail|contact|phone|mobile|vpa|upi_id|name|address|account_number|holder|dob|birth|pan|gstin|ip"
    r"|user_agent|latitude|longitude|customer_details)(?:$|_)"
)


def up(db: Database[dict[str, Any]]) -> None:
    db.customers.create_index(
        [("shopId", ASCENDING), ("mergedInto", ASCENDING), ("followUpAt", ASCENDING)],
        name="merged",
        partialFilterExpression={"mergedInto": {"$exists": True}},
    )
    db.customers.create_index(
        [("followUpAt", ASCENDING)],
        name="follow_up",
        partialFilterExpression={"followUpAt": {"$gt": _EPOCH}},
    )
    for column, name in (("accountId", "account"), ("claim.accountId", "claim")):
        db.customers.create_index(
            [(column, ASCENDING), ("grantedAt", DESCENDING), ("_id", DESCENDING)],
            name=name,
            partialFilterExpression={column: {"$exists": True}},
        )
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
            document = json.loads(bytes(row["body"]))
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
        if _PERSONAL.search(name.lower()):
            value[name] = None
            has_any = True
        else:
            has_any |= _clear(each)
    return has_any


def down(db: Database[dict[str, Any]]) -> None:
    """Drop the indexes. What is gone stays gone."""
    for name in ("claim", "account", "follow_up", "merged"):
        # It is gone if an earlier run ended between this and the note that it was made.
        if name in db.customers.index_information():
            db.customers.drop_index(name)
