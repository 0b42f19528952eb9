"""Messages that were given up: the metric of the queue counts them.

Few are, and they go after 30 days as all messages do.
"""

from typing import Any

from pymongo import ASCENDING
from pymongo.database import Database

_NAME = "failed"


def up(db: Database[dict[str, Any]]) -> None:
    db.messages.create_index(
        [("status", ASCENDING)], name=_NAME, partialFilterExpression={"status": "failed"}
    )


def down(db: Database[dict[str, Any]]) -> None:
    # It is gone if an earlier run ended between this and the note that it was made.
    if _NAME in db.messages.index_information():
        db.messages.drop_index(_NAME)
