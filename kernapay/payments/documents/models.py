"""The papers collection: the receipts and credit notes that have a number."""

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from mongoengine import DateTimeField, IntField, ObjectIdField, StringField

from kernapay.storage.documents import Items
from kernapay.storage.mongo import Choice, Record


class PaperKind(StrEnum):
    RECEIPT = "receipt"
    CREDIT_NOTE = "credit_note"


class Paper(Record):
    """A receipt or a credit note with its number. Rows are never deleted, because the series would have a gap.

    It keeps what the settings said when it was made: a new address or tax changes no paper that is out. Nothing in it
    is personal: names come from the account or the customer, and go with them.
    """

    meta: ClassVar[dict[str, Any]] = {"collection": "papers"}
    unique_fields = frozenset({"id", "code"})

    # The payment's, and behind a colon the gateway's id of the refund: there is one paper for each.
    id: str = StringField(primary_key=True)
    payment_id: str = ObjectIdField(db_field="paymentId", required=True)
    kind: PaperKind = Choice(PaperKind, required=True)
    refund_id: str | None = StringField(db_field="refundId")
    # Kind and financial year, such as `KP-R26`; numbers count from 1 in each.
    series: str = StringField(required=True)
    number: int = IntField()
    # When the payer paid, or the refund was processed.
    at: datetime = DateTimeField(required=True)
    # Nobody can guess it: whoever has it may check the paper.
    code: str = StringField(required=True)
    seller: str = StringField(required=True)
    address: list[str] = Items(StringField())
    gstin: str | None = StringField()
    sac: str | None = StringField()
    # In hundredths of a percent, and the code of the state of the supply. Both, or none.
    tax_rate: int | None = IntField(db_field="taxRate")
    place: str | None = StringField()
    # When a mail with it is due. Whoever writes that mail sets it to a later time first.
    mail_at: datetime | None = DateTimeField(db_field="mailAt")

    @property
    def title(self) -> str:
        """The number as people read it: `KP-R26-000042`."""
        return f"{self.series}-{self.number:06}"
