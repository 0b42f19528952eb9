"""The gateway_calls collection: calls to the gateway about payments in the last 90 days."""

from typing import Any, ClassVar

from mongoengine import IntField, StringField

from kernapay.storage.documents import Items, Mapping
from kernapay.storage.mongo import Record


class GatewayCall(Record):
    """One call. Its rows are written without this class, and never changed. `createdAt` is when the call began."""

    meta: ClassVar[dict[str, Any]] = {"collection": "gateway_calls"}

    # What finds it: the receipt under which the order is asked for, or the gateway's ids of order and payment.
    subjects: list[str] = Items(StringField())
    call: str = StringField(required=True)
    path: str = StringField(required=True)
    outcome: str = StringField(required=True)
    # None without an answer.
    status: int | None = IntField()
    ms: int = IntField(required=True)
    # The error that KernaPay made of the answer, and the gateway's own words for it.
    judged: str | None = StringField()
    code: str | None = StringField()
    reason: str | None = StringField()
    gateway_field: str | None = StringField(db_field="gatewayField")
    process: str = StringField(required=True)
    request_id: str | None = StringField(db_field="requestId")
    sent: dict[str, Any] = Mapping()
    answered: dict[str, Any] = Mapping()
