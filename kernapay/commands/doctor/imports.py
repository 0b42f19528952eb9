"""The check of an import that was begun with `--statuses-later`: another one has to end it."""

from collections.abc import Iterator
from typing import Any

from pymongo.database import Database

from kernapay.commands.doctor.findings import Finding, Level


def unseen_imports(db: Database[dict[str, Any]]) -> Iterator[Finding]:
    """Find imported payments about which the gateway was never asked: no worker does so."""
    waiting = {"status": "pending", "former.service": {"$exists": True}, "former.seen": None}
    count = db.payments.count_documents(waiting)
    if count:
        yield Finding(
            Level.WARN,
            "import",
            f"{count} imported payment(s) are shown as unpaid, paid or not: the gateway was not asked about them yet",
            "repeat kernapay import express, without --statuses-later and to its end. It lists those that cannot move.",
        )
