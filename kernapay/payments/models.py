"""The payments collection: a payment with its history, its refunds and its mismatches."""

from datetime import datetime
from typing import Any, ClassVar

from mongoengine import (
    BooleanField,
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
    """One entry of the history: the status after a change, its time, and where the change came from."""

    status: Status = Choice(Status, required=True)
    at: datetime = DateTimeField(db_field="updatedAt", required=True)
    source: Source = Choice(Source, required=True)
    event: str | None = StringField()
    event_id: str | None = StringField(db_field="eventId")
    actor: str | None = StringField()
    razorpay_payment_id: str | None = StringField(db_field="razorpayPaymentId")
    reason: str | None = StringField()


class Mismatch(EmbeddedDocument):  # type: ignore[misc]
    """Evidence that does not match the payment. It changed nothing; an operator has to look at it."""

    at: datetime = DateTimeField(required=True)
    source: Source = Choice(Source, required=True)
    reason: str = StringField(required=True)
    event_id: str | None = StringField(db_field="eventId")
    order_id: str | None = StringField(db_field="orderId")
    payment_id: str | None = StringField(db_field="paymentId")
    amount: int | None = LongField()
    currency: str | None = StringField()


class Refund(EmbeddedDocument):  # type: ignore[misc]
    """One refund. `receipt` is our id, known from the start; `refund_id` is the gateway's, known after its answer."""

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
    # Until this time, only one caller may request this refund from the gateway.
    lease_until: datetime | None = DateTimeField(db_field="leaseUntil")
    created_at: datetime = DateTimeField(db_field="createdAt", required=True)
    updated_at: datetime = DateTimeField(db_field="updatedAt", required=True)


class Payout(EmbeddedDocument):  # type: ignore[misc]
    """One row of a bank settlement that concerns this payment: its own, a refund's, an adjustment's.

    `entity_id` is the gateway's id of that. Amounts are in minor units of the settlement's currency, not of the
    payment's. `credit` came to the bank account, `debit` was taken from it, and the fee includes the tax.
    """

    settlement_id: str = StringField(db_field="settlementId", required=True)
    entity_id: str = StringField(db_field="entityId", required=True)
    type: str = StringField(required=True)
    utr: str | None = StringField()
    credit: int = LongField(required=True)
    debit: int = LongField(required=True)
    fee: int = LongField(required=True)
    tax: int = LongField(required=True)
    settled_at: datetime | None = DateTimeField(db_field="settledAt")


class Payment(Record):
    """One payment. Amounts are integers in the currency's minor units."""

    meta: ClassVar[dict[str, Any]] = {"collection": "payments"}

    user_id: str = ObjectIdField(db_field="userId", required=True)
    # What the payer wrote. It gives nobody anything: `payee_id` does.
    provider_id: str | None = StringField(db_field="providerId")
    # The account that `provider_id` named when the payment was created, judged to be an active PROVIDER's.
    payee_id: str | None = ObjectIdField(db_field="payeeId")
    # Both hold the gateway's order id. `orderId` is the API's name for it, and has the unique index.
    order_id: str | None = StringField(db_field="orderId")
    razorpay_order_id: str | None = StringField(db_field="razorpayOrderId")
    razorpay_payment_id: str | None = StringField(db_field="razorpayPaymentId")
    razorpay_signature: str | None = StringField(db_field="razorpaySignature")
    amount: int = LongField(required=True)
    currency: str = StringField(required=True)
    status: Status = Choice(Status, required=True, default=Status.PENDING)
    payment_method: str | None = StringField(db_field="paymentMethod")
    payment_gateway: str = StringField(db_field="paymentGateway", default="razorpay")
    # Whether the gateway's key moved real money. Rows from before this field do not know.
    livemode: bool | None = BooleanField()
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
    # The gateway's fee for a captured payment, and the tax included in it, in minor units.
    fee: int | None = LongField()
    tax: int | None = LongField()
    authorized_at: datetime | None = DateTimeField(db_field="authorizedAt")
    paid_at: datetime | None = DateTimeField(db_field="paidAt")
    # Until this time, only one caller may create the order at the gateway.
    order_lease_until: datetime | None = DateTimeField(db_field="orderLeaseUntil")
    # A check at the gateway is due RECONCILE_AFTER later than `check_at`; `checks` counts them.
    check_at: datetime | None = DateTimeField(db_field="checkAt")
    checks: int = IntField(default=0)
    # When the gateway's payment that counts was settled, and every settlement row of this payment and its refunds.
    settled_at: datetime | None = DateTimeField(db_field="settledAt")
    settlements: list[Payout] = EmbeddedDocumentListField(Payout)
    surplus_orders: list[str] = ListField(StringField(), db_field="surplusOrders")
    mismatches: list[Mismatch] = EmbeddedDocumentListField(Mismatch)
