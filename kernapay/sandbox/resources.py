"""What Razorpay's REST resources have in common: fetch, list and edit for one key pair."""

from itertools import islice
from typing import Generic, TypeVar

from kernapay.sandbox.entities import Order, OwnedRow, Payment, Refund
from kernapay.sandbox.errors import unknown_id
from kernapay.sandbox.fields import Fields, Page
from kernapay.sandbox.ids import check_id
from kernapay.sandbox.store import Table

OwnedRowT = TypeVar("OwnedRowT", bound=OwnedRow)
EditableRowT = TypeVar("EditableRowT", Order, Payment, Refund)


class Resource(Generic[OwnedRowT]):
    def __init__(self, id_prefix: str, table: Table[OwnedRowT]) -> None:
        self._id_prefix = id_prefix
        self._table = table

    def get(self, owner: str, row_id: str) -> OwnedRowT:
        """Return the row. Raise RazorpayError if it does not exist or has another owner."""
        check_id(self._id_prefix, row_id)
        row = self._table.get(row_id)
        if row is None or row.owner != owner:
            raise unknown_id()
        return row

    def find(self, owner: str, page: Page) -> list[OwnedRowT]:
        return paginate(self._table.find_by("owner", owner), page)


class EditableResource(Resource[EditableRowT]):
    def edit(self, row: EditableRowT, fields: Fields) -> EditableRowT:
        """Replace the notes. Razorpay: nothing else can be edited."""
        notes = fields.require_notes()
        fields.reject_unread()
        row.notes = notes
        self._table.save(row)
        return row


def paginate(rows: list[OwnedRowT], page: Page) -> list[OwnedRowT]:
    """Return one page, newest first, of the rows created in the page's time span."""
    in_span = (row for row in reversed(rows) if page.start <= row.created_at <= page.end)
    return list(islice(in_span, page.skip, page.skip + page.count))
