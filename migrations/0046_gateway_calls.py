"""Calls to the gateway about payments: by payment, and kept for 90 days."""

from typing import Any

from pymongo import ASCENDING, DESCENDING
from pymongo.database import Database

_SECONDS = 90 * 86_400


def up(db: Database[dict[str, Any]]) -> None:
    calls = db.gateway_calls
    calls.create_index([("subjects", ASCENDING), ("createdAt", DESCENDING)], name="of_payment")
    calls.create_index([("createdAt", ASCENDING)], name="kept", expireAfterSeconds=_SECONDS)


def down(db: Database[dict[str, Any]]) -> None:
    db.drop_collection("gateway_calls")
