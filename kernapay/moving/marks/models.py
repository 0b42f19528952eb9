"""The imports collection: since when an import has to look for what changed at the gateway."""

from datetime import datetime
from typing import Any, ClassVar

from mongoengine import BooleanField, DateTimeField, StringField

from kernapay.storage.mongo import Record


class ImportMark(Record):
    """What the gateway did before `since` is known of every payment that an import has seen."""

    meta: ClassVar[dict[str, Any]] = {"collection": "imports"}

    # The service and the name of its database, such as `express:payments`.
    id: str = StringField(primary_key=True)
    since: datetime = DateTimeField(required=True)
    # Whether an import has come to its end, comparisons included.
    is_complete: bool = BooleanField(db_field="isComplete", default=False)
