"""The rules for new payments that a business configures: currencies, amounts, service types and their prices."""

from collections.abc import Collection, Mapping

import msgspec

from kernapay.config.types import ServiceType
from kernapay.core.errors import InvalidInput
from kernapay.payments.currencies import amount_problem, explain_amount, exponent, format_amount
from kernapay.payments.dtos import PaymentCreate


class PaymentRules:
    def __init__(
        self,
        currencies: Collection[str],
        maximum: int,
        service_types: Mapping[str, ServiceType],
        notes_limit: int,
    ) -> None:
        """`notes_limit` is the largest size of `notes`, and of `metadata`, in bytes of JSON."""
        self._currencies = currencies
        self._maximum = maximum
        self._service_types = service_types
        self._notes_limit = notes_limit

    def check(self, data: PaymentCreate) -> None:
        """Check a payment to create. Raises InvalidInput naming the field."""
        if data.currency not in self._currencies:
            raise InvalidInput(f"Must be one of: {', '.join(self._currencies)}.", field="currency")
        if problem := amount_problem(data.amount, data.currency, self._maximum):
            raise InvalidInput(problem, field="amount")
        for field, values in (("notes", data.notes), ("metadata", data.metadata)):
            if len(msgspec.json.encode(values)) > self._notes_limit:
                raise InvalidInput(
                    f"Must be at most {self._notes_limit} bytes as JSON, in all.", field=field
                )
        service_type = self._service_types.get(data.service_type)
        if service_type is None:
            raise InvalidInput(
                f"Must be one of: {', '.join(self._service_types)}.", field="serviceType"
            )
        _check_price(service_type, data)
        for name in service_type.required:
            if data.metadata.get(name) in (None, ""):
                raise InvalidInput(
                    f"Required for the service type {data.service_type}.", field=f"metadata.{name}"
                )
        allowed = service_type.allowed
        if allowed and (unknown := sorted(set(data.metadata) - allowed)):
            raise InvalidInput(
                f"Unknown field. The service type {data.service_type} allows: "
                f"{', '.join(sorted(allowed))}.",
                field=f"metadata.{unknown[0]}",
            )


def _check_price(service_type: ServiceType, data: PaymentCreate) -> None:
    currency, price = service_type.currency, service_type.amount
    name = f"the service type {data.service_type}"
    if currency is not None and data.currency != currency:
        raise InvalidInput(f"Must be {currency} for {name}.", field="currency")
    if price is not None and data.amount != price:
        price_text = explain_amount(price, data.currency)
        unit = _explain_unit(data, price)
        raise InvalidInput(f"Must be {price_text}, the price of {name}.{unit}", field="amount")
    lowest, highest = service_type.min_amount, service_type.max_amount
    if lowest is not None and data.amount < lowest:
        limit = explain_amount(lowest, data.currency)
        unit = _explain_unit(data, lowest)
        raise InvalidInput(f"Must be at least {limit} for {name}.{unit}", field="amount")
    if highest is not None and data.amount > highest:
        limit = explain_amount(highest, data.currency)
        raise InvalidInput(f"Must be at most {limit} for {name}.", field="amount")


def _explain_unit(data: PaymentCreate, least: int) -> str:
    """Return a sentence about the unit if the amount would do in whole units of the currency, such as rupees."""
    meant = data.amount * 10 ** exponent(data.currency)
    if meant < least or meant == data.amount:
        return ""
    unit, text = "minor units", format_amount(meant, data.currency)
    if data.currency == "INR":
        unit, text = "paise", text.replace("INR ", "₹")
    return f" Amounts are in {unit}: for {text}, send {meant}."
