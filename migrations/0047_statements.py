"""Statements: what was paid to a provider, refunded, disputed and settled in a month; and the queue of their mails.

Payments that are paid to no account have no entry.
"""

from typing import Any, Final

from pymongo import ASCENDING, IndexModel
from pymongo.database import Database

_TIMES: Final = {
    "payee_paid": ("paidAt", "referenceId"),
    "payee_refunds": ("refunds.createdAt",),
    "payee_disputes_made": ("disputes.createdAt",),
    "payee_settled": ("settlements.settledAt",),
}
# Long after the month of a statement was planned for the last time.
_KEPT: Final = 400 * 86_400


def up(db: Database[dict[str, Any]]) -> None:
    db.payments.create_indexes(
        [
            IndexModel(
                [("payeeId", ASCENDING), *((each, ASCENDING) for each in names)],
                name=name,
                partialFilterExpression={
                    "payeeId": {"$exists": True},
                    names[0]: {"$exists": True},
                },
            )
            for name, names in _TIMES.items()
        ]
    )
    mails = db.statement_mails
    mails.create_index([("state", ASCENDING), ("dueAt", ASCENDING)], name="due")
    mails.create_index([("createdAt", ASCENDING)], name="kept", expireAfterSeconds=_KEPT)


def down(db: Database[dict[str, Any]]) -> None:
    # They are gone if an earlier run ended between this and the note that it was made.
    for name in set(_TIMES) & set(db.payments.index_information()):
        db.payments.drop_index(name)
    db.drop_collection("statement_mails")
