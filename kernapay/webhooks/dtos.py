"""A Razorpay event, as much of it as we read. Unknown fields and events pass."""

from typing import Generic, TypeVar

from msgspec import Struct

from kernapay.gateway.base import GatewayPayment, GatewayRefund

EntityT = TypeVar("EntityT")


class Wrapped(Struct, Generic[EntityT], frozen=True):
    entity: EntityT


class EventName(Struct, frozen=True):
    """The least an event has: its name."""

    event: str = ""


class Payload(Struct, frozen=True):
    payment: Wrapped[GatewayPayment] | None = None
    refund: Wrapped[GatewayRefund] | None = None


class GatewayEvent(Struct, frozen=True):
    event: str
    payload: Payload


class Received(Struct, frozen=True):
    """What the gateway is told; it reads the status code only."""

    received: bool = True
