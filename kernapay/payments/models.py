"""The payments collection: a payment, its history, its refunds, and what did not fit it."""

from datetime import datetime
from typing import Any, ClassVar

from mongoengine import (
    DateTimeField,
    DictField,
    EmbeddedDocument,
    EmbeddedDocumentListField,
    IntField,
    ListField,
    LongField,
    ObjectIdField,
    StringField,
)

from kernapay.payments.states import RefundState, RefundStatus, Source, Status
from kernapay.storage.mongo import Choice, Record


class Step(EmbeddedDocument):  # type: ignore[misc]
    """One entry of the audit trail: what became of the payment, when, and who said so."""

    status: Status = Choice(Status, required=True)
    at: datetime = DateTimeField(db_field="updatedAt", required=True)
    source: Source = Choice(Source, required=True)
    event: str | None = StringField()
    event_id: str | None = StringField(db_field="eventId")
    actor: str | None = StringField()
    razorpay_payment_id: str | None = StringField(db_field="razorpayPaymentId")
    reason: str | None = StringField()


class Mismatch(EmbeddedDocument):  # type: ignore[misc]
    """Evidence that did not fit; it changed nothing and waits for an operator."""

    at: datetime = DateTimeField(required=True)
    source: Source = Choice(Source, required=True)
    reason: str = StringField(required=True)
    event_id: str | None = StringField(db_field="eventId")
    order_id: str | None = StringField(db_field="orderId")
    payment_id: str | None = StringField(db_field="paymentId")
    amount: int | None = LongField()
    currency: str | None = StringField()


class Refund(EmbeddedDocument):  # type: ignore[misc]
    """Money going back. `refund_id` is the gateway's; `receipt` is ours and comes first."""

    refund_id: str | None = StringField(db_field="refundId")
    receipt: str | None = StringField()
    key: str | None = StringField()
    fingerprint: str | None = StringField()
    amount: int = LongField(required=True)
    status: RefundState = Choice(RefundState, required=True)
    source: Source = Choice(Source, required=True)
    actor: str | None = StringField()
    reason: str | None = StringField()
    failure: str | None = StringField()
    # Until then one caller has the right to ask the gateway for it.
    lease_until: datetime | None = DateTimeField(db_field="leaseUntil")
    created_at: datetime = DateTimeField(db_field="createdAt", required=True)
    updated_at: datetime = DateTimeField(db_field="updatedAt", required=True)


class Payment(Record):
    """One sale. Amounts are integers in the currency's minor units."""

    meta: ClassVar[dict[str, Any]] = {"collection": "payments"}

    user_id: str = ObjectIdField(db_field="userId", required=True)
    provider_id: str | None = StringField(db_field="providerId")
    # Both carry the gateway's order id: `orderId` is what the API calls it, and unique.
    order_id: str | None = StringField(db_field="orderId")
    razorpay_order_id: str | None = StringField(db_field="razorpayOrderId")
    razorpay_payment_id: str | None = StringField(db_field="razorpayPaymentId")
    razorpay_signature: str | None = StringField(db_field="razorpaySignature")
    amount: int = LongField(required=True)
    currency: str = StringField(required=True)
    status: Status = Choice(Status, required=True, default=Status.PENDING)
    payment_method: str | None = StringField(db_field="paymentMethod")
    payment_gateway: str = StringField(db_field="paymentGateway", default="razorpay")
    reference_id: str = StringField(db_field="referenceId", required=True)
    service_type: str = StringField(db_field="serviceType", required=True)
    description: str | None = StringField()
    idempotency_key: str | None = StringField(db_field="idempotencyKey")
    fingerprint: str | None = StringField()
    notes: dict[str, str] = DictField()
    metadata: dict[str, Any] = DictField()
    history: list[Step] = EmbeddedDocumentListField(Step)
    refund_status: RefundStatus = Choice(
        RefundStatus, db_field="refundStatus", default=RefundStatus.NOT_REQUESTED
    )
    refunds: list[Refund] = EmbeddedDocumentListField(Refund)
    amount_refunded: int = LongField(db_field="amountRefunded", default=0)
    # What the gateway keeps of a captured payment, and the tax within it.
    fee: int | None = LongField()
    tax: int | None = LongField()
    authorized_at: datetime | None = DateTimeField(db_field="authorizedAt")
    paid_at: datetime | None = DateTimeField(db_field="paidAt")
    # Until then one caller has the right to make the order at the gateway.
    order_lease_until: datetime | None = DateTimeField(db_field="orderLeaseUntil")
    # From when reconciliation counts a payment as waiting for its end, and how often it has looked.
    check_at: datetime | None = DateTimeField(db_field="checkAt")
    checks: int = IntField(default=0)
    surplus_orders: list[str] = ListField(StringField(), db_field="surplusOrders")
    mismatches: list[Mismatch] = EmbeddedDocumentListField(Mismatch)
