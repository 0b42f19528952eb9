"""The imports collection: from which time on an import has to look for changes at the gateway."""

from datetime import datetime
from typing import Any, ClassVar

from mongoengine import BooleanField, DateTimeField, StringField

from kernapay.storage.mongo import Record


class ImportCheckpoint(Record):
    """Every change that the gateway made before `since` was imported."""

    meta: ClassVar[dict[str, Any]] = {"collection": "imports"}

    # The service and the name of its database, such as `express:payments`.
    id: str = StringField(primary_key=True)
    since: datetime = DateTimeField(required=True)
    # Whether an import has finished, with its comparisons.
    is_complete: bool = BooleanField(db_field="isComplete", default=False)
