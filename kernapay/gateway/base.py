"""The protocol of a payment gateway: its calls, its entities and its errors."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Protocol
from zoneinfo import ZoneInfo

import msgspec

from kernapay.core.errors import RetryLater, UpstreamError

# Razorpay: a day of the settlement feed is a day in India.
FEED_ZONE: Final = ZoneInfo("Asia/Kolkata")


class GatewayError(UpstreamError):
    """The gateway did not carry out a call.

    `http_status`, `gateway_code`, `gateway_field` and `reason` are the gateway's own. Clients see only `detail`.
    """

    code = "gateway_error"
    title = "Payment gateway error"

    def __init__(
        self,
        detail: str,
        *,
        http_status: int | None = None,
        gateway_code: str | None = None,
        gateway_field: str | None = None,
        reason: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(detail, retry_after=retry_after)
        self.http_status = http_status
        self.gateway_code = gateway_code
        self.gateway_field = gateway_field
        self.reason = reason


class GatewayRejected(GatewayError):
    """The gateway refused the request. Nothing was done, and a repeat would be refused again."""

    code = "gateway_rejected"


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


# These structs declare only the fields we use: Razorpay adds fields, and sends empty notes as a list.


class Order(msgspec.Struct, frozen=True):
    """An order at the gateway; amounts in minor units, times in Unix seconds."""

    id: str
    amount: int
    currency: str
    status: str
    receipt: str | None = None
    amount_paid: int = 0
    created_at: int = 0


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
    speed_processed: str | None = None
    created_at: int = 0


class PaymentGateway(Protocol):
    """The calls of a gateway. Each may raise GatewayRejected, GatewayBusy or GatewayUnknown.

    Amounts are in minor units.
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

    async def list_payments(
        self, after: datetime, before: datetime, *, skip: int, count: int
    ) -> Sequence[GatewayPayment]: ...

    async def settlement_rows(
        self, year: int, month: int, day: int, *, skip: int, count: int
    ) -> Sequence[Mapping[str, Any]]: ...

    async def list_settlements(
        self, after: datetime, before: datetime, *, skip: int, count: int
    ) -> Sequence[Mapping[str, Any]]: ...

    async def fetch_settlement(self, settlement_id: str) -> Mapping[str, Any]: ...

    def close(self) -> None:
        """Close the connections, after the calls under way have finished."""
