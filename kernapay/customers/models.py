"""The customers collection: people and companies that a shop sells to, without accounts of their own."""

from datetime import datetime
from typing import Any, ClassVar

from mongoengine import DateTimeField, ObjectIdField, StringField

from kernapay.storage.documents import OnePart, Part
from kernapay.storage.mongo import Record


class Address(Part):
    meta: ClassVar[dict[str, Any]] = {"strict": False}

    line1: str | None = StringField()
    line2: str | None = StringField()
    city: str | None = StringField()
    state: str | None = StringField()
    postal_code: str | None = StringField(db_field="postalCode")
    country: str | None = StringField()


class Customer(Record):
    """A customer of a shop. An erased one has its id and its times only."""

    meta: ClassVar[dict[str, Any]] = {"collection": "customers"}

    # The account of the shop: the payer's, of the customer's payments.
    shop_id: str = ObjectIdField(db_field="shopId", required=True)
    # The shop's own id of its customer.
    reference: str | None = StringField()
    email: str | None = StringField()
    name: str | None = StringField()
    # In international form (ITU-T E.164).
    contact: str | None = StringField()
    gstin: str | None = StringField()
    address: Address | None = OnePart(Address)
    erased_at: datetime | None = DateTimeField(db_field="erasedAt")
