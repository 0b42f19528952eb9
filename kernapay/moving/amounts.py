"""Rupees or paise: what a stored amount means, and what proves it. No factor of 100 is ever guessed."""

from decimal import Decimal
from enum import StrEnum
from typing import Final

from kernapay.gateway.base import Order
from kernapay.moving.rows import CannotMove

# The Express service multiplied by 100 whatever the currency, and took rupees only.
_FACTOR: Final = 100
_CURRENCY: Final = "INR"


class Unit(StrEnum):
    RUPEES = "rupees"
    PAISE = "paise"


def prove(stored: Decimal, currency: str, order: Order) -> Unit:
    """Return the unit of a stored amount by the gateway's own order. Raises CannotMove if it fits neither."""
    if order.currency != currency:
        raise CannotMove(f"its currency is {currency}, and that of its order {order.currency}")
    for unit in Unit:
        if in_minor_units(stored, unit) == order.amount:
            return unit
    raise CannotMove(
        f"its amount is {stored}, and that of its order {order.amount}: neither rupees nor paise"
    )


def convert(stored: Decimal, currency: str, unit: Unit) -> int:
    """Return an amount in paise. Raises CannotMove."""
    if currency != _CURRENCY and unit is Unit.RUPEES:
        raise CannotMove(f"its amount cannot be proved, and {currency} has no rupees")
    amount = in_minor_units(stored, unit)
    if amount is None or not 0 < amount < 2**53:
        raise CannotMove(
            f"its amount is {stored} {unit}, which is no whole number of paise above 0"
        )
    return amount


def in_minor_units(stored: Decimal, unit: Unit) -> int | None:
    amount = stored * _FACTOR if unit is Unit.RUPEES else stored
    return int(amount) if amount == amount.to_integral_value() else None
