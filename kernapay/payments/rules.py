"""What the configuration of a business says about its payments."""

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
        """Raises InvalidInput naming the field."""
        if data.currency not in self._currencies:
            raise InvalidInput(f"Choose one of {', '.join(self._currencies)}.", field="currency")
        if problem := amount_problem(data.amount, data.currency, self._maximum):
            raise InvalidInput(problem, field="amount")
        kind = self._service_types.get(data.service_type)
        if kind is None:
            raise InvalidInput(
                f"Choose one of {', '.join(self._service_types)}.", field="serviceType"
            )
        for name in kind.required:
            if data.metadata.get(name) in (None, ""):
                raise InvalidInput("Field required.", field=f"metadata.{name}")
        if kind.allowed and (unknown := sorted(set(data.metadata) - kind.allowed)):
            raise InvalidInput("Unknown field.", field=f"metadata.{unknown[0]}")
