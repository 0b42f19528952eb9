"""The record of an import that a payment keeps."""

from typing import Any, ClassVar

from mongoengine import StringField

from kernapay.storage.documents import Part


class Former(Part):
    """The values of the earlier service, kept as evidence: the payment's own fields decide.

    A payment with this part has its amount in minor units, so no later import converts it again.
    """

    meta: ClassVar[dict[str, Any]] = {"strict": False}

    service: str = StringField(required=True)
    reference: str | None = StringField()
    status: str | None = StringField()
    # The amount as it was stored, its unit (`rupees` or `paise`), and what proves that (`order`, or `operator`).
    amount: str = StringField(required=True)
    unit: str = StringField(required=True)
    proof: str = StringField(required=True)
    # A hash of everything that the last import decided by. While it stays the same, an import changes nothing.
    seen: str | None = StringField()
    # A hash of what the earlier service stored, and why the gateway could not be asked about it.
    row: str | None = StringField()
    problem: str | None = StringField()
