"""Disputes, which lie in their payments: by their id, by status and deadline, by who was paid, by their next warning.

Partial: few payments are ever disputed, and the others need no entry.
"""

from typing import Any

from pymongo import ASCENDING
from pymongo.database import Database

_INDEXES = {
    "dispute": ["disputes.disputeId"],
    "disputed_payment": ["disputes.paymentId"],
    "disputes_by_deadline": ["disputes.status", "disputes.respondBy"],
    "payee_disputes": ["payeeId", "disputes.status"],
    "dispute_warnings": ["disputes.warnAt"],
}


def up(db: Database[dict[str, Any]]) -> None:
    for name, fields in _INDEXES.items():
        disputed = next(field for field in fields if field.startswith("disputes."))
        db.payments.create_index(
            [(field, ASCENDING) for field in fields],
            name=name,
            partialFilterExpression={disputed: {"$exists": True}},
        )


def down(db: Database[dict[str, Any]]) -> None:
    existing = db.payments.index_information()
    for name in _INDEXES:
        # A run that was killed half-way is repeated from its beginning.
        if name in existing:
            db.payments.drop_index(name)
