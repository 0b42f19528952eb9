"""Turn the groups that MongoDB has added up into totals."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

import structlog

from kernapay.payments.legacy_rows import DEFAULT_CURRENCY, read_sum
from kernapay.payments.listing.dtos import PaymentTotal
from kernapay.payments.states import Status

_log = structlog.get_logger("kernapay.payments")
_SUMS: Final = ("count", "amount", "amountPaid", "amountRefunded")
_STATUSES: Final = frozenset(status.value for status in Status)


def sum_groups(groups: Iterable[Mapping[str, Any]]) -> list[PaymentTotal]:
    """Return the totals by currency and status, in this order.

    Rows of an unknown status or currency, which lists leave out, are left out here and logged. Raises UnreadableRow if
    an amount is not an integer: a total without it would be wrong.
    """
    totals: dict[tuple[str, str], Counter[str]] = {}
    left_out = 0
    for group in groups:
        # Rows of another system may have no currency.
        currency = group["_id"].get("currency") or DEFAULT_CURRENCY
        status = group["_id"].get("status")
        if isinstance(currency, str) and isinstance(status, str) and status in _STATUSES:
            sums = totals.setdefault((currency, status), Counter())
            sums.update({name: read_sum(group[name]) for name in _SUMS})
        else:
            left_out += group["count"]
    if left_out:
        _log.error("totals_left_out", payments=left_out)
    return [_total(*key, totals[key]) for key in sorted(totals)]


def _total(currency: str, status: str, sums: Counter[str]) -> PaymentTotal:
    return PaymentTotal(
        currency,
        Status(status),
        sums["count"],
        sums["amount"],
        # For payments without it, what was ordered is added up.
        sums["amountPaid"] if Status(status).is_paid else 0,
        sums["amountRefunded"],
    )
