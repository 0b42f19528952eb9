"""The Razorpay gateway. The official SDK says what is sent; it is sent on the event loop, a bounded number at once."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from importlib.metadata import version
from typing import Any, Final

import msgspec
import razorpay
import structlog

from kernapay.core.deadlines import Deadline
from kernapay.core.slots import NoFreeSlot, Slots
from kernapay.gateway.base import (
    EntityT,
    GatewayBusy,
    GatewayDispute,
    GatewayMissing,
    GatewayPayment,
    GatewayRefund,
    GatewayUnknown,
    GatewayUnreadable,
    OddEntity,
    Order,
)
from kernapay.gateway.connections import Request
from kernapay.gateway.decoding import Unreadable, read_entity
from kernapay.gateway.metrics import NOT_MADE
from kernapay.gateway.transport import Keep, Recorder, Transport

_log = structlog.get_logger("kernapay.gateway")
# The SDK puts ids into the path without escaping them.
_ID: Final = re.compile(r"(order|pay|rfnd|setl|disp)_[A-Za-z0-9]{1,32}")
_VERSION: Final = version("razorpay")
# Razorpay: the largest page.
_PAGE: Final = 100


class _Client(razorpay.Client):  # type: ignore[misc]
    def _get_version(self) -> str:
        return _VERSION  # the SDK reads it from disk at every request


class RazorpayGateway:
    def __init__(
        self,
        key_id: str,
        key_secret: str,
        *,
        base_url: str,
        timeout: float,
        slots: Slots,
        keep: Keep | None = None,
    ) -> None:
        """Give each call `timeout` seconds, including its wait for a free slot. Pass each finished call to `keep`."""
        self._client = _Client(session=Recorder(), auth=(key_id, key_secret), base_url=base_url)
        self._transport = Transport(slots.size, keep)
        self._slots = slots
        self._timeout = timeout

    async def create_order(
        self, *, amount: int, currency: str, receipt: str, notes: Mapping[str, str]
    ) -> Order:
        body = {
            "amount": amount,
            "currency": currency,
            "receipt": receipt,
            "notes": dict(notes),
            "payment_capture": 1,
        }
        return await self._one(Order, self._client.order.create, body)

    async def find_orders(self, receipt: str) -> Sequence[Order]:
        return await self._many(Order, self._client.order.all, {"receipt": receipt, "count": _PAGE})

    async def fetch_order(self, order_id: str) -> Order:
        return await self._one(Order, self._client.order.fetch, _check_id(order_id))

    async def payments_of(self, order_id: str) -> Sequence[GatewayPayment]:
        return await self._many(GatewayPayment, self._client.order.payments, _check_id(order_id))

    async def fetch_payment(self, payment_id: str) -> GatewayPayment:
        return await self._one(GatewayPayment, self._client.payment.fetch, _check_id(payment_id))

    async def capture(self, payment_id: str, amount: int, currency: str) -> GatewayPayment:
        # A new dict: the SDK writes the amount into this argument, and all calls share its default.
        return await self._one(
            GatewayPayment,
            self._client.payment.capture,
            _check_id(payment_id),
            amount,
            {"currency": currency},
        )

    async def refund(
        self, payment_id: str, *, amount: int, key: str, receipt: str, speed: str
    ) -> GatewayRefund:
        return await self._one(
            GatewayRefund,
            self._client.payment.refund,
            _check_id(payment_id),
            {"amount": amount, "speed": speed, "receipt": receipt},
            headers={"X-Refund-Idempotency": key},
        )

    async def refunds_of(self, payment_id: str) -> Sequence[GatewayRefund]:
        # All pages under one deadline: callers count on one for each call of theirs.
        deadline = Deadline(self._timeout)
        refunds: list[GatewayRefund] = []
        while True:
            document = await self._call(
                self._client.payment.fetch_multiple_refund,
                _check_id(payment_id),
                {"count": _PAGE, "skip": len(refunds)},
                deadline=deadline,
            )
            page = [_convert(item, GatewayRefund) for item in _items_of(document)]
            refunds += page
            if len(page) < _PAGE:
                return refunds

    async def list_orders(
        self, after: datetime, before: datetime, *, skip: int, count: int
    ) -> Sequence[Order]:
        return await self._many(
            Order, self._client.order.all, _make_window(after, before, skip, count)
        )

    async def list_entities(
        self, entity: type[EntityT], after: datetime, before: datetime, *, skip: int, count: int
    ) -> Sequence[EntityT | OddEntity]:
        calls: dict[type[msgspec.Struct], Callable[..., Request]] = {
            Order: self._client.order.all,
            GatewayPayment: self._client.payment.all,
            GatewayRefund: self._client.refund.all,
        }
        window = _make_window(after, before, skip, count)
        items = _items_of(await self._call(calls[entity], window))
        return [_convert_or_name(item, entity) for item in items]

    async def list_disputes(self, *, skip: int, count: int) -> Sequence[GatewayDispute | OddEntity]:
        # Razorpay: the list of disputes takes no window of time.
        page = await self._call(self._client.dispute.all, {"skip": skip, "count": count})
        return [_convert_or_name(item, GatewayDispute) for item in _items_of(page)]

    async def fetch_dispute(self, dispute_id: str) -> GatewayDispute:
        return await self._one(GatewayDispute, self._client.dispute.fetch, _check_id(dispute_id))

    async def settlement_rows(
        self, year: int, month: int, day: int, *, skip: int, count: int
    ) -> Sequence[Mapping[str, Any]]:
        when = {"year": year, "month": f"{month:02}", "day": f"{day:02}"}
        document = await self._call(
            self._client.settlement.report, {**when, "skip": skip, "count": count}
        )
        return _items_of(document)

    async def list_settlements(
        self, after: datetime, before: datetime, *, skip: int, count: int
    ) -> Sequence[Mapping[str, Any]]:
        window = _make_window(after, before, skip, count)
        return _items_of(await self._call(self._client.settlement.all, window))

    async def fetch_settlement(self, settlement_id: str) -> Mapping[str, Any]:
        document = await self._call(self._client.settlement.fetch, _check_id(settlement_id))
        if not isinstance(document, dict):
            raise GatewayUnknown("The payment gateway's answer is not a settlement.")
        return document

    async def close(self) -> None:
        await self._slots.wait_until_idle()
        await self._transport.close()

    async def _call(
        self,
        call: Callable[..., Request],
        *args: Any,
        deadline: Deadline | None = None,
        **kwargs: Any,
    ) -> Any:
        request = call(*args, **kwargs)
        deadline = deadline or Deadline(self._timeout)
        try:
            async with self._slots.slot(deadline.remaining):
                return await self._transport.send(request, deadline.remaining)
        except NoFreeSlot as error:
            NOT_MADE.inc()
            _log.warning("gateway_queue_full", waiting=self._slots.pending)
            raise GatewayBusy(
                "Too many calls to the payment gateway are waiting. Try again."
            ) from error

    async def _one(
        self, entity: type[EntityT], call: Callable[..., Request], *args: Any, **kwargs: Any
    ) -> EntityT:
        return _convert(await self._call(call, *args, **kwargs), entity)

    async def _many(
        self, entity: type[EntityT], call: Callable[..., Request], *args: Any
    ) -> list[EntityT]:
        return [_convert(item, entity) for item in _items_of(await self._call(call, *args))]


def _check_id(identifier: str) -> str:
    if not _ID.fullmatch(identifier):
        raise GatewayMissing(
            "Not an id of the payment gateway: it must start with order_, pay_, rfnd_, setl_ or disp_."
        )
    return identifier


def _make_window(after: datetime, before: datetime, skip: int, count: int) -> dict[str, int]:
    return {
        "from": int(after.timestamp()),
        "to": int(before.timestamp()),
        "skip": skip,
        "count": count,
    }


def _items_of(document: Any) -> Sequence[Mapping[str, Any]]:
    if not isinstance(document, dict) or not isinstance(document.get("items"), list):
        raise GatewayUnknown("The payment gateway's answer is not a list.")
    return list(document["items"])


def _convert(document: Any, entity: type[EntityT]) -> EntityT:
    try:
        return read_entity(document, entity)
    except Unreadable as error:
        # Do not guess about money: treat an answer of another form as no answer.
        raise GatewayUnreadable("The payment gateway's answer has an unexpected form.") from error


def _convert_or_name(item: Any, entity: type[EntityT]) -> EntityT | OddEntity:
    try:
        return read_entity(item, entity)
    except Unreadable as error:
        fields = item if isinstance(item, dict) else {}
        ids = {
            name: fields[name]
            for name in ("id", "order_id", "payment_id")
            if isinstance(fields.get(name), str)
        }
        return OddEntity(str(error), **ids)
