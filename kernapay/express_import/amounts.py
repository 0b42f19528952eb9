"""Find out whether a stored amount is in rupees or in paise. It has to be proved: a factor of 100 is never guessed."""

from decimal import Decimal
from enum import StrEnum
from typing import Final

from kernapay.express_import.row_values import CannotMove
from kernapay.gateway.base import Order

# The Express service multiplied by 100 whatever the currency, and took rupees only.
_FACTOR: Final = 100
_CURRENCY: Final = "INR"


class Unit(StrEnum):
    RUPEES = "rupees"
    PAISE = "paise"


def prove(stored: Decimal, currency: str, order: Order) -> Unit:
    """Return the unit of an amount, proved by the order at the gateway. Raises CannotMove if neither unit fits."""
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
