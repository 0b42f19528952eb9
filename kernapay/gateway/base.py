"""The protocol of a payment gateway: its calls, its entities and its errors."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Protocol, TypeVar
from zoneinfo import ZoneInfo

import msgspec

from kernapay.core.errors import RetryLater, UpstreamError

# Razorpay: a day of the settlement feed is a day in India.
FEED_ZONE: Final = ZoneInfo("Asia/Kolkata")
# Razorpay: the earliest time that its lists take.
EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)


class GatewayError(UpstreamError):
    """The gateway did not carry out a call.

    `http_status`, `gateway_field` and `reason` are the gateway's own. Clients see only `detail`.
    """

    code = "gateway_error"
    title = "Payment gateway error"

    def __init__(
        self,
        detail: str,
        *,
        http_status: int | None = None,
        gateway_field: str | None = None,
        reason: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(detail, retry_after=retry_after)
        self.http_status = http_status
        self.gateway_field = gateway_field
        self.reason = reason


class GatewayRejected(GatewayError):
    """The gateway refused a change for good. Nothing was done, and a repeat would be refused again.

    Only `refusals` makes this of an answer, so that a proxy's words never count as the gateway's.
    """

    code = "gateway_rejected"


class GatewayMissing(GatewayError):
    """The gateway says that its account has no entity with this id. This is no refusal of a change."""

    code = "gateway_missing"


class GatewayTooOld(GatewayError):
    """The gateway no longer answers calls about this order, because it is too old."""

    code = "gateway_too_old"


class GatewayDenied(GatewayError):
    """The gateway refuses our keys or our address. The operator has to act; the request itself was not judged."""

    code = "gateway_denied"


class GatewayUnknown(RetryLater, GatewayError):
    """The gateway gave no usable answer, so it may or may not have carried out the request.

    Look up the result at the gateway before you repeat a call that changes something.
    """

    code = "gateway_unavailable"
    title = "Payment gateway unavailable"

    def __init__(self, detail: str, **details: Any) -> None:
        super().__init__(detail, **{"retry_after": 5, **details})


class GatewayBusy(GatewayUnknown):
    """The gateway has too many requests at present, or is still working on this one."""

    code = "gateway_busy"


class GatewayUnreadable(GatewayUnknown):
    """The gateway answered with an entity that cannot be decoded. A repeat gets the same answer."""


class GatewayDuplicate(GatewayUnknown):
    """The gateway knows this refund, or this key, already. Look the refund up to learn its state."""


class BalanceTooLow(RetryLater, GatewayError):
    """The gateway's account lacks the money for this refund. KernaPay tries again; so may you, with the same key."""

    code = "balance_too_low"
    title = "Balance too low"

    def __init__(self, detail: str, **details: Any) -> None:
        super().__init__(detail, **{"retry_after": 3600, **details})


GATEWAY_ERRORS: Final = (
    GatewayRejected,
    GatewayMissing,
    GatewayDenied,
    GatewayUnknown,
    GatewayBusy,
)
"""The errors of a call that names an entity and changes it, for the API document."""


# These structs declare only the fields we use. `decoding` fills them: Razorpay's values vary in form.


class Order(msgspec.Struct, frozen=True):
    """An order at the gateway; amounts in minor units, times in Unix seconds."""

    id: str
    amount: int
    currency: str
    status: str
    receipt: str | None = None
    amount_paid: int = 0
    created_at: int = 0
    # An object, or an empty list.
    notes: Any = None
    # How many payments were tried, successful or not.
    attempts: int | None = None


class GatewayPayment(msgspec.Struct, frozen=True):
    """A payment at the gateway; amounts in minor units, times in Unix seconds."""

    id: str
    amount: int
    currency: str
    status: str
    order_id: str | None = None
    method: str | None = None
    captured: bool = False
    amount_refunded: int | None = None
    refund_status: str | None = None
    fee: int | None = None
    tax: int | None = None
    error_code: str | None = None
    error_reason: str | None = None
    created_at: int = 0
    # Razorpay: neither is on the page of the entity. The bearer is text or, in one sample, a number.
    fee_bearer: str | int | None = None
    offer_id: str | None = None

    @property
    def is_captured(self) -> bool:
        """Whether the money was captured for the merchant, even if it was refunded since."""
        return self.captured or self.status == "captured"


class GatewayRefund(msgspec.Struct, frozen=True):
    """A refund at the gateway; amount in minor units, time in Unix seconds."""

    id: str
    payment_id: str
    amount: int
    currency: str
    status: str
    receipt: str | None = None
    speed_requested: str | None = None
    speed_processed: str | None = None
    # An object, or an empty list.
    acquirer_data: Any = None
    created_at: int = 0

    @property
    def arn(self) -> str | None:
        """The bank's reference, by which the customer's bank finds the refund; None until there is one."""
        arn = self.acquirer_data.get("arn") if isinstance(self.acquirer_data, dict) else None
        return arn if isinstance(arn, str) and arn else None


class GatewayDispute(msgspec.Struct, frozen=True):
    """A dispute at the gateway; amounts in minor units, times in Unix seconds."""

    id: str
    payment_id: str
    amount: int
    currency: str
    status: str
    phase: str
    amount_deducted: int | None = None
    reason_code: str | int | None = None
    reason_description: str | None = None
    respond_by: int | None = None
    created_at: int | None = None


EntityT = TypeVar("EntityT", bound=msgspec.Struct)


class OddEntity(msgspec.Struct, frozen=True):
    """An entity of a list that cannot be decoded. It has the ids that can be read."""

    problem: str
    id: str | None = None
    order_id: str | None = None
    payment_id: str | None = None


class PaymentGateway(Protocol):
    """The calls of a gateway. Amounts are in minor units.

    Each may raise GatewayUnknown, GatewayBusy and GatewayDenied; one that names an entity GatewayMissing and
    GatewayTooOld; one that changes something GatewayRejected; and `refund` GatewayDuplicate and BalanceTooLow.
    """

    async def create_order(
        self, *, amount: int, currency: str, receipt: str, notes: Mapping[str, str]
    ) -> Order: ...

    async def find_orders(self, receipt: str) -> Sequence[Order]: ...

    async def fetch_order(self, order_id: str) -> Order: ...

    async def payments_of(self, order_id: str) -> Sequence[GatewayPayment]: ...

    async def fetch_payment(self, payment_id: str) -> GatewayPayment: ...

    async def capture(self, payment_id: str, amount: int, currency: str) -> GatewayPayment: ...

    async def refund(
        self, payment_id: str, *, amount: int, key: str, receipt: str, speed: str
    ) -> GatewayRefund: ...

    async def refunds_of(self, payment_id: str) -> Sequence[GatewayRefund]: ...

    async def list_orders(
        self, after: datetime, before: datetime, *, skip: int, count: int
    ) -> Sequence[Order]: ...

    async def list_entities(
        self, entity: type[EntityT], after: datetime, before: datetime, *, skip: int, count: int
    ) -> Sequence[EntityT | OddEntity]:
        """Return a page of the orders, payments or refunds of a window. An unreadable one is an OddEntity."""
        ...

    async def list_disputes(
        self, *, skip: int, count: int
    ) -> Sequence[GatewayDispute | OddEntity]: ...

    async def fetch_dispute(self, dispute_id: str) -> GatewayDispute: ...

    async def settlement_rows(
        self, year: int, month: int, day: int, *, skip: int, count: int
    ) -> Sequence[Mapping[str, Any]]: ...

    async def list_settlements(
        self, after: datetime, before: datetime, *, skip: int, count: int
    ) -> Sequence[Mapping[str, Any]]: ...

    async def fetch_settlement(self, settlement_id: str) -> Mapping[str, Any]: ...

    async def close(self) -> None:
        """Close the connections, after the calls under way have finished."""
