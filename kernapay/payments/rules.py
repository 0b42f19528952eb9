"""The rules for new payments that a business configures: currencies, amounts, service types."""

from collections.abc import Collection, Mapping

from kernapay.config.types import ServiceType
from kernapay.core.errors import InvalidInput
from kernapay.payments.currencies import amount_problem
from kernapay.payments.dtos import PaymentCreate


class PaymentRules:
    def __init__(
        self,
        currencies: Collection[str],
        maximum: int,
        service_types: Mapping[str, ServiceType],
    ) -> None:
        self._currencies = currencies
        self._maximum = maximum
        self._service_types = service_types

    def check(self, data: PaymentCreate) -> None:
        """Check a payment to create. Raises InvalidInput naming the field."""
        if data.currency not in self._currencies:
            raise InvalidInput(f"Must be one of: {', '.join(self._currencies)}.", field="currency")
        if problem := amount_problem(data.amount, data.currency, self._maximum):
            raise InvalidInput(problem, field="amount")
        service_type = self._service_types.get(data.service_type)
        if service_type is None:
            raise InvalidInput(
                f"Must be one of: {', '.join(self._service_types)}.", field="serviceType"
            )
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
