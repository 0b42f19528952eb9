"""What a payment knows of the row that it was imported from."""

from typing import Any, ClassVar

from mongoengine import StringField

from kernapay.storage.documents import Part


class Former(Part):
    """What the earlier service stored, as evidence: its words decide nothing.

    Where it is, the amount was converted: no later import does so again.
    """

    meta: ClassVar[dict[str, Any]] = {"strict": False}

    service: str = StringField(required=True)
    reference: str | None = StringField()
    status: str | None = StringField()
    # The amount as it was stored, its unit (`rupees` or `paise`), and what proves that (`order`, or `operator`).
    amount: str = StringField(required=True)
    unit: str = StringField(required=True)
    proof: str = StringField(required=True)
    # A hash of all that the last import saw of this payment: an import that sees the same changes nothing.
    seen: str | None = StringField()
    # A hash of what the earlier service stored, and why the gateway could not be asked about it.
    row: str | None = StringField()
    problem: str | None = StringField()
