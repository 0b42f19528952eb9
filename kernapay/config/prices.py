"""Check the prices of the service types against each other, CURRENCIES and MAX_AMOUNT."""

from collections.abc import Collection, Iterator, Mapping

from kernapay.config.types import ServiceType


def find_price_problems(
    service_types: Mapping[str, ServiceType], currencies: Collection[str], max_amount: int
) -> Iterator[str]:
    """Return what is wrong with the prices, a sentence for each problem."""
    for name, service_type in service_types.items():
        for problem in _problems_of(service_type, currencies, max_amount):
            yield f"{name} {problem}"


def _problems_of(
    service_type: ServiceType, currencies: Collection[str], max_amount: int
) -> Iterator[str]:
    amount, lowest, highest = (
        service_type.amount,
        service_type.min_amount,
        service_type.max_amount,
    )
    limits = {"amount": amount, "minAmount": lowest, "maxAmount": highest}
    if amount is not None and (lowest, highest) != (None, None):
        yield "must have either amount, or minAmount and maxAmount"
    if lowest is not None and highest is not None and lowest > highest:
        yield "must not have a minAmount above its maxAmount"
    for field, value in limits.items():
        if value is not None and value > max_amount:
            yield f"must not have a larger {field} than MAX_AMOUNT"
    if service_type.gst is not None and round(service_type.gst, 2) != service_type.gst:
        yield "must have two decimals in gst at most"
    if service_type.currency is None:
        # Otherwise a payer could pay the number of a strong currency in a weak one.
        if len(currencies) > 1 and any(value is not None for value in limits.values()):
            yield "must have a currency, because CURRENCIES has several"
    elif service_type.currency not in currencies:
        yield "must have one of CURRENCIES as its currency"
