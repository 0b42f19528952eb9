"""Events for the systems of businesses, the endpoints that receive them, and one delivery for each pair.

The relay inserts events and deliveries without `updatedAt`, to keep the rows short: `createdAt` says when it stored
them.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from mongoengine import (
    BinaryField,
    BooleanField,
    DateTimeField,
    IntField,
    StringField,
)

from kernapay.storage.documents import Items, Mapping, OnePart, Part, Parts
from kernapay.storage.mongo import Choice, Record


class EventType(StrEnum):
    PAYMENT_CREATED = "payment.created"
    PAYMENT_SUCCEEDED = "payment.succeeded"
    PAYMENT_FAILED = "payment.failed"
    PAYMENT_EXPIRED = "payment.expired"
    PAYMENT_CANCELLED = "payment.cancelled"
    REFUND_REQUESTED = "refund.requested"
    REFUND_PROCESSED = "refund.processed"
    REFUND_FAILED = "refund.failed"
    DISPUTE_OPENED = "dispute.opened"
    DISPUTE_ACTION_REQUIRED = "dispute.action_required"
    DISPUTE_WON = "dispute.won"
    DISPUTE_LOST = "dispute.lost"
    DISPUTE_CLOSED = "dispute.closed"
    SETTLEMENT_PROCESSED = "settlement.processed"
    RECONCILIATION_FINDING = "reconciliation.finding"
    ENDPOINT_TEST = "endpoint.test"


class EndpointState(StrEnum):
    ON = "on"
    OFF = "off"
    """Switched off by a person."""
    DISABLED = "disabled"
    """Switched off by KernaPay; `reason` says why."""
    REMOVED = "removed"
    """Nobody sees it any more. The worker deletes it when its deliveries are deleted."""


class DeliveryState(StrEnum):
    PENDING = "pending"
    DONE = "done"
    FAILED = "failed"
    """Given up; a replay makes it pending again."""


class OutgoingEvent(Record):
    """One event, with the bytes that every endpoint gets, by payload version.

    Its id is `evt_<id of the row that changed>_<sequence>_<hash>`, without a dot: Standard Webhooks forbids one.
    """

    meta: ClassVar[dict[str, Any]] = {"collection": "events"}

    id: str = StringField(primary_key=True)
    type: EventType = Choice(EventType, required=True)
    # When the change happened. `seq` is the index of its step in the history of the payment.
    at: datetime = DateTimeField(required=True)
    # What it is about: the reference of a payment, the id of a settlement, a report or an endpoint.
    subject: str = StringField(required=True)
    seq: int = IntField(required=True)
    # The account whose payment it is. Events of settlements and reports have none, nor those of disputes of what an
    # account bought itself: they are for administrators.
    shop_id: str | None = StringField(db_field="shopId")
    # What the payer wrote as `providerId`.
    provider_id: str | None = StringField(db_field="providerId")
    service_type: str | None = StringField(db_field="serviceType")
    livemode: bool | None = BooleanField()
    bodies: dict[str, bytes] = Mapping()
    expires_at: datetime = DateTimeField(db_field="expiresAt")


class Attempt(Part):
    """One attempt to deliver. Without a `code`, there was no answer, and `excerpt` says why."""

    meta: ClassVar[dict[str, Any]] = {"strict": False}

    at: datetime = DateTimeField(required=True)
    code: int | None = IntField()
    milliseconds: int = IntField(db_field="ms", required=True)
    # The beginning of the answer.
    excerpt: str | None = StringField()


class Delivery(Record):
    """One event for one endpoint. Its id is `<event>:<endpoint>`."""

    meta: ClassVar[dict[str, Any]] = {"collection": "deliveries"}

    id: str = StringField(primary_key=True)
    endpoint_id: str = StringField(db_field="endpoint", required=True)
    event_id: str = StringField(db_field="event", required=True)
    # The event of the same subject that the endpoint has to get before this one.
    after: str | None = StringField()
    subject: str = StringField(required=True)
    seq: int = IntField(required=True)
    type: EventType = Choice(EventType, required=True)
    state: DeliveryState = Choice(DeliveryState, required=True, default=DeliveryState.PENDING)
    next_at: datetime = DateTimeField(db_field="nextAt", required=True)
    attempts: int = IntField(default=0)
    # When it was made pending again. From then on it is tried as a new one is.
    replayed_at: datetime | None = DateTimeField(db_field="replayedAt")
    # The newest attempts.
    log: list[Attempt] = Parts(Attempt)
    done_at: datetime | None = DateTimeField(db_field="doneAt")
    # That of the event, until it is done or given up.
    expires_at: datetime | None = DateTimeField(db_field="expiresAt")


class EndpointSecret(Part):
    """A secret that signs. With `until`, another one has replaced it, and both sign until then."""

    meta: ClassVar[dict[str, Any]] = {"strict": False}

    sealed: bytes = BinaryField(required=True)
    at: datetime = DateTimeField(required=True)
    until: datetime | None = DateTimeField()


class EndpointLease(Part):
    """Which worker sends to the endpoint, and until when by the database's clock."""

    meta: ClassVar[dict[str, Any]] = {"strict": False}

    owner: str = StringField(required=True)
    until: datetime = DateTimeField(required=True)


class Endpoint(Record):
    """A URL of a business that receives events. Empty `types`, `service_types` and `providers` mean all."""

    meta: ClassVar[dict[str, Any]] = {"collection": "endpoints"}

    # The account whose payments it hears of. Without one it is the administrators', and hears of everything.
    owner: str | None = StringField()
    # The account that created it, or switched it on last: it gets a mail if KernaPay switches the endpoint off.
    keeper: str = StringField(required=True)
    url: str = StringField(required=True)
    description: str | None = StringField()
    headers: dict[str, str] = Mapping()
    types: list[EventType] = Items(Choice(EventType))
    service_types: list[str] = Items(StringField(), db_field="serviceTypes")
    providers: list[str] = Items(StringField())
    # The version of the payload. It stays as it was at creation until somebody changes it.
    version: int = IntField(required=True, default=1)
    state: EndpointState = Choice(EndpointState, required=True, default=EndpointState.ON)
    reason: str | None = StringField()
    # Set while the mail to the keeper has not been stored yet.
    notice_at: datetime | None = DateTimeField(db_field="noticeAt")
    # It gets no event of a change before this time: when it was created, or switched on again.
    since: datetime = DateTimeField(required=True)
    secrets: list[EndpointSecret] = Parts(EndpointSecret)
    failing_since: datetime | None = DateTimeField(db_field="failingSince")
    last_success_at: datetime | None = DateTimeField(db_field="lastSuccessAt")
    lease: EndpointLease | None = OnePart(EndpointLease)
