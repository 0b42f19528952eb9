"""The payments collection: a payment with its history, its refunds and its mismatches."""

from datetime import datetime
from typing import Any, ClassVar

from mongoengine import (
    BooleanField,
    DateTimeField,
    IntField,
    LongField,
    ObjectIdField,
    StringField,
)

from kernapay.payments import legacy_rows
from kernapay.payments.imported.models import Former
from kernapay.payments.states import (
    DisputeStatus,
    RefundSpeed,
    RefundState,
    RefundStatus,
    Source,
    Status,
    SurplusReason,
)
from kernapay.storage.documents import Items, Mapping, OnePart, Part, Parts
from kernapay.storage.fields import DefaultTextField, IdOrTextField
from kernapay.storage.mongo import Choice, Record


class RefundStep(Part):
    """A refund as it was after a step of the history, of which events are made."""

    meta: ClassVar[dict[str, Any]] = {"strict": False}

    refund_id: str | None = StringField(db_field="refundId")
    receipt: str | None = StringField()
    amount: int = LongField(required=True)
    status: RefundState = Choice(RefundState, required=True)
    failure: str | None = StringField()
    speed_processed: str | None = StringField(db_field="speedProcessed")
    arn: str | None = StringField()


class Step(Part):
    """One entry of the history: the status after a change, its time, and where the change came from.

    No step is ever removed or moved: its index is the sequence of the event that tells of it.
    """

    meta: ClassVar[dict[str, Any]] = {"strict": False}

    status: Status = Choice(Status, required=True)
    at: datetime = DateTimeField(db_field="updatedAt", required=True)
    source: Source = Choice(Source, required=True)
    event: str | None = StringField()
    event_id: str | None = StringField(db_field="eventId")
    actor: str | None = StringField()
    razorpay_payment_id: str | None = StringField(db_field="razorpayPaymentId")
    reason: str | None = StringField()
    # Whether the sale ended with this step, and whether its money came after an earlier end.
    final: bool | None = BooleanField()
    late: bool | None = BooleanField()
    # All that was refunded after this step, in minor units, and the state of all refunds. Of refunds only.
    amount_refunded: int | None = LongField(db_field="amountRefunded")
    refund_status: RefundStatus | None = Choice(RefundStatus, db_field="refundStatus")
    # What the step was about, as it was after it. Steps from before these fields have neither.
    refund: RefundStep | None = OnePart(RefundStep)
    dispute: "Dispute | None" = OnePart("Dispute")


class Mismatch(Part):
    """Evidence that does not match the payment. It changed nothing; an operator has to look at it."""

    meta: ClassVar[dict[str, Any]] = {"strict": False}

    at: datetime = DateTimeField(required=True)
    source: Source = Choice(Source, required=True)
    reason: str = StringField(required=True)
    # Where it came from, as in a step of the history. Older ones have no event and no actor.
    event: str | None = StringField()
    event_id: str | None = StringField(db_field="eventId")
    actor: str | None = StringField()
    order_id: str | None = StringField(db_field="orderId")
    payment_id: str | None = StringField(db_field="paymentId")
    dispute_id: str | None = StringField(db_field="disputeId")
    amount: int | None = LongField()
    currency: str | None = StringField()


class Refund(Part):
    """One refund. `receipt` is our id, known from the start; `refund_id` is the gateway's, known after its answer."""

    meta: ClassVar[dict[str, Any]] = {"strict": False}

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
    speed: RefundSpeed = Choice(RefundSpeed, default=RefundSpeed.NORMAL)
    # What the gateway made of it: `normal` or `instant`. And the reference by which the customer's bank finds it.
    speed_processed: str | None = StringField(db_field="speedProcessed")
    arn: str | None = StringField()
    # Until this time, only one caller may request this refund from the gateway.
    lease_until: datetime | None = DateTimeField(db_field="leaseUntil")
    created_at: datetime = DateTimeField(db_field="createdAt", required=True)
    updated_at: datetime = DateTimeField(db_field="updatedAt", required=True)


class SurplusPayment(Part):
    """Money that came in for this payment's order and is not for its sale, so it goes back."""

    meta: ClassVar[dict[str, Any]] = {"strict": False}

    payment_id: str = StringField(db_field="paymentId", required=True)
    amount: int = LongField(required=True)
    reason: SurplusReason = Choice(SurplusReason, required=True)
    at: datetime = DateTimeField(required=True)
    status: RefundState = Choice(RefundState, required=True)
    refund_id: str | None = StringField(db_field="refundId")


class Dispute(Part):
    """One dispute about a payment of the order, as the gateway last described it. Amounts are in minor units."""

    meta: ClassVar[dict[str, Any]] = {"strict": False}

    dispute_id: str = StringField(db_field="disputeId", required=True)
    # The gateway's payment. It may be a second one of the order: then it holds nothing of ours.
    payment_id: str = StringField(db_field="paymentId", required=True)
    amount: int = LongField(required=True)
    currency: str = StringField(required=True)
    amount_deducted: int = LongField(db_field="amountDeducted", default=0)
    # Text, not a choice: Razorpay may add phases, and its reason codes are an open set.
    phase: str = StringField(required=True)
    status: DisputeStatus = Choice(DisputeStatus, required=True)
    reason_code: str | None = StringField(db_field="reasonCode")
    reason_description: str | None = StringField(db_field="reasonDescription")
    # Until this time, the gateway takes evidence.
    respond_by: datetime | None = DateTimeField(db_field="respondBy")
    # What of the payment may not be refunded, and what of it is gone. `returns.py` judges both.
    held: int = LongField(default=0)
    lost: int = LongField(default=0)
    # Where the present state came from: an event, or a question to the gateway.
    source: Source = Choice(Source, required=True)
    # The gateway's time of the newest event, in Unix seconds, and its place among events of that second.
    as_of: int = LongField(db_field="asOf", default=0)
    rank: int = IntField(default=0)
    # Every change counts it up, so that a change of what was read before another change finds nothing.
    revision: int = IntField(default=1)
    # When to warn of the deadline; None once warned, or when there is nothing to warn of.
    warn_at: datetime | None = DateTimeField(db_field="warnAt")
    created_at: datetime = DateTimeField(db_field="createdAt", required=True)
    updated_at: datetime = DateTimeField(db_field="updatedAt", required=True)


class Payout(Part):
    """One row of a bank settlement that concerns this payment: its own, a refund's, an adjustment's.

    `entity_id` is the gateway's id of that. Amounts are in minor units of the settlement's currency, not of the
    payment's. `credit` came to the bank account, `debit` was taken from it, and the fee includes the tax.
    """

    meta: ClassVar[dict[str, Any]] = {"strict": False}

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
    unique_fields = frozenset({"id", "reference_id", "razorpay_order_id"})

    user_id: str = IdOrTextField(db_field="userId", required=True)
    # What the payer wrote. It gives nobody anything: `payee_id` does.
    provider_id: str | None = StringField(db_field="providerId")
    # The account that `provider_id` named when the payment was created, judged to be an active PROVIDER's.
    payee_id: str | None = ObjectIdField(db_field="payeeId")
    # Whom the shop whose account is `user_id` sells to. A payer with an account has none.
    customer_id: str | None = ObjectIdField(db_field="customerId")
    # Both hold the gateway's order id. `orderId` is the API's name for it, and has the unique index.
    order_id: str | None = StringField(db_field="orderId")
    razorpay_order_id: str | None = StringField(db_field="razorpayOrderId")
    razorpay_payment_id: str | None = StringField(db_field="razorpayPaymentId")
    razorpay_signature: str | None = StringField(db_field="razorpaySignature")
    # Under which the gateway has the order. Rows from before this field have the default prefix and their id.
    receipt: str | None = StringField()
    amount: int = LongField(required=True)
    currency: str = DefaultTextField(legacy_rows.DEFAULT_CURRENCY, required=True)
    status: Status = Choice(Status, required=True, default=Status.PENDING)
    payment_method: str | None = StringField(db_field="paymentMethod")
    payment_gateway: str = StringField(db_field="paymentGateway", default="razorpay")
    # Whether the gateway's key moved real money. Rows from before this field do not know.
    livemode: bool | None = BooleanField()
    reference_id: str = StringField(db_field="referenceId", required=True)
    service_type: str = StringField(db_field="serviceType", required=True)
    description: str | None = StringField()
    idempotency_key: str | None = StringField(db_field="idempotencyKey")
    # All that a payment which was rebuilt after a restore knows of its key, until the key comes again.
    key_hash: str | None = StringField(db_field="keyHash")
    fingerprint: str | None = StringField()
    notes: dict[str, str] = Mapping()
    # Of the values of `notes`, which never change. A payment without notes has none.
    note_hashes: list[str] = Items(StringField(), db_field="noteHashes")
    metadata: dict[str, Any] = Mapping()
    # Of the entries of `metadata`, which never change.
    metadata_hashes: list[str] = Items(StringField(), db_field="metadataHashes")
    # Whether money came after an unpaid end of the sale, whatever became of it; and whether it was ever disputed.
    late: bool | None = BooleanField()
    disputed: bool | None = BooleanField()
    # Whether a link to the checkout page was asked for, and where that page leads afterwards.
    checkout: bool | None = BooleanField()
    success_url: str | None = StringField(db_field="successUrl")
    cancel_url: str | None = StringField(db_field="cancelUrl")
    history: list[Step] = Parts(Step)
    refund_status: RefundStatus = Choice(
        RefundStatus, db_field="refundStatus", default=RefundStatus.NOT_REQUESTED
    )
    refunds: list[Refund] = Parts(Refund)
    amount_refunded: int = LongField(db_field="amountRefunded", default=0)
    disputes: list[Dispute] = Parts(Dispute)
    # The gateway's fee for a captured payment, and the tax included in it, in minor units.
    fee: int | None = LongField()
    tax: int | None = LongField()
    authorized_at: datetime | None = DateTimeField(db_field="authorizedAt")
    # When the payer paid, by the gateway's clock.
    paid_at: datetime | None = DateTimeField(db_field="paidAt")
    # What was paid: more than `amount` where the customer bears the fee, less with an offer.
    amount_paid: int | None = LongField(db_field="amountPaid")
    fee_bearer: str | None = StringField(db_field="feeBearer")
    offer_id: str | None = StringField(db_field="offerId")
    payable_until: datetime | None = DateTimeField(db_field="payableUntil")
    # Whether the sale has ended: paid, expired or cancelled. Money that comes later does not bring it back silently.
    final: bool | None = BooleanField()
    cancelled_at: datetime | None = DateTimeField(db_field="cancelledAt")
    # The gateway's payment of which a person has decided that it pays the sale although that has ended.
    approved_payment_id: str | None = StringField(db_field="approvedPaymentId")
    # The end is due at `ends_at`, which goes when the sale has ended; `end_checks` counts the attempts.
    ends_at: datetime | None = DateTimeField(db_field="endsAt")
    end_checks: int = IntField(db_field="endChecks", default=0)
    surplus_payments: list[SurplusPayment] = Parts(SurplusPayment, db_field="surplusPayments")
    # A look at the surplus payments is due at `surplus_at`; `surplus_checks` counts them.
    surplus_at: datetime | None = DateTimeField(db_field="surplusAt")
    surplus_checks: int = IntField(db_field="surplusChecks", default=0)
    # Until this time, only one caller may create the order at the gateway.
    order_lease_until: datetime | None = DateTimeField(db_field="orderLeaseUntil")
    # A check at the gateway is due RECONCILE_AFTER later than `check_at`; `checks` counts them.
    check_at: datetime | None = DateTimeField(db_field="checkAt")
    checks: int = IntField(default=0)
    # When the gateway's payment that counts was settled, and every settlement row of this payment and its refunds.
    settled_at: datetime | None = DateTimeField(db_field="settledAt")
    settlements: list[Payout] = Parts(Payout)
    surplus_orders: list[str] = Items(StringField(), db_field="surplusOrders")
    mismatches: list[Mismatch] = Parts(Mismatch)
    # How many steps the relay has made events of. Rows from before this field have none, and none made before it.
    announced: int | None = IntField()
    # Set by each update that adds a step: the relay is due.
    announce: datetime | None = DateTimeField()
    # The trace of the request that created it, if that was traced: what settles it belongs to the same.
    traceparent: str | None = StringField()
    # What it was in the service that it was imported from, of imported ones.
    former: Former | None = OnePart(Former)

    @classmethod
    def in_shape(cls, row: dict[str, Any]) -> dict[str, Any]:
        return legacy_rows.in_shape(row)

    @classmethod
    def repair(cls, row: dict[str, Any]) -> dict[str, Any]:
        return legacy_rows.repair(row)

    @property
    def amount_captured(self) -> int:
        """What came in for this payment, in minor units: what was paid or, of older rows, what was ordered."""
        return self.amount if self.amount_paid is None else self.amount_paid
