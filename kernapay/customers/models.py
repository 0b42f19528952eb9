"""The customers collection: people and companies that a shop sells to, without accounts of their own."""

from datetime import datetime
from typing import Any, ClassVar

from mongoengine import DateTimeField, IntField, ObjectIdField, StringField

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


class Claim(Part):
    """An account that asks for the payments for a customer."""

    meta: ClassVar[dict[str, Any]] = {"strict": False}

    account_id: str = ObjectIdField(db_field="accountId", required=True)
    at: datetime = DateTimeField(required=True)


class Customer(Record):
    """A customer of a shop. An erased one has its id and its times only, a merged one its reference as well."""

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
    # The customer that this one became a part of. Never itself: no row of the chain leads back.
    merged_into: str | None = ObjectIdField(db_field="mergedInto")
    merged_at: datetime | None = DateTimeField(db_field="mergedAt")
    # Counts the attempts to merge another one into this one, so that two merges never go round in a circle.
    merges: int | None = IntField()
    # The account that may see the payments, by a grant of the shop; and the one that asks for it.
    account_id: str | None = ObjectIdField(db_field="accountId")
    granted_at: datetime | None = DateTimeField(db_field="grantedAt")
    claim: Claim | None = OnePart(Claim)
    # What a merge or an erasure leaves to the worker is due at `follow_up_at`; `follow_ups` counts the passes.
    follow_up_at: datetime | None = DateTimeField(db_field="followUpAt")
    follow_ups: int | None = IntField(db_field="followUps")
