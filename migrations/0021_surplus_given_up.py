"""Payments whose surplus nobody could return: the metric of the queue counts them.

Few payments have one.
"""

from typing import Any

from pymongo import ASCENDING
from pymongo.database import Database

_NAME = "surplus_given_up"


def up(db: Database[dict[str, Any]]) -> None:
    db.payments.create_index(
        [("surplusPayments.status", ASCENDING)],
        name=_NAME,
        partialFilterExpression={"surplusPayments.status": "failed"},
    )


def down(db: Database[dict[str, Any]]) -> None:
    # It is gone if an earlier run ended between this and the note that it was made.
    if _NAME in db.payments.index_information():
        db.payments.drop_index(_NAME)
