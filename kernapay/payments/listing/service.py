"""Lists of payments and their totals: each caller's own, and all for administrators."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from kernapay.core.business_days import BusinessDays
from kernapay.core.errors import Forbidden, InvalidInput
from kernapay.core.fair_share import FairShare
from kernapay.payments.listing.dtos import PaymentList, PaymentTotals
from kernapay.payments.listing.repository import Criteria, PaymentListRepository
from kernapay.payments.metadata import hash_entry
from kernapay.payments.states import Status
from kernapay.security.principal import Principal
from kernapay.storage.mongo import QueryTooSlow

# A month of the business, of which one day may have an hour more.
_LONGEST_PERIOD: Final = timedelta(days=31, hours=1)


class Entry(NamedTuple):
    """An entry of the metadata to search by."""

    name: str
    value: str | int | bool


class Filters(NamedTuple):
    """The filters of a request, as the client sent them."""

    user_id: str | None = None
    status: Status | None = None
    method: str | None = None
    service_type: str | None = None
    provider_id: str | None = None
    min_amount: int | None = None
    max_amount: int | None = None
    start: str | None = None
    end: str | None = None
    late: bool | None = None
    disputed: bool | None = None
    metadata: Entry | None = None
    customer_id: str | None = None


# What a list shows of each payment. A filter by anything else tells a grantee what their shop keeps to itself: also
# `late`, which says whether money waits for a person.
_SHOWN: Final = frozenset(
    (
        *("user_id", "customer_id", "provider_id", "status", "method", "service_type"),
        *("min_amount", "max_amount", "start", "end"),
    )
)


class PaymentLists:
    def __init__(
        self,
        payments: PaymentListRepository,
        days: BusinessDays,
        share: FairShare,
    ) -> None:
        """`share` limits how many totals are added up at once."""
        self._payments = payments
        self._days = days
        self._share = share

    async def page(
        self,
        caller: Principal,
        filters: Filters,
        count: int,
        cursor: str | None,
        *,
        given_by: str | None = None,
    ) -> PaymentList:
        """Return a page of the payments that the caller may list. Raises Forbidden, InvalidInput naming the field.

        `given_by` is the shop whose payments for the customer of the filters they may list.
        """
        if given_by is not None and not caller.is_admin and given_by != caller.id:
            _require_shown(filters)
        criteria = self._criteria_for(caller, filters)
        if given_by is not None and not caller.is_admin:
            criteria = criteria._replace(payer=given_by)
        with _asking_for_less():
            return await self._payments.page(criteria, count, cursor)

    async def totals(self, caller: Principal, filters: Filters) -> PaymentTotals:
        """Return what the payments that the caller may list add up to.

        Raises Forbidden, TooManyRequests, and InvalidInput naming the field, also when they are too many.
        """
        criteria = self._criteria_for(caller, filters)
        after, before = criteria.after, criteria.before
        if after is None or before is None:
            raise InvalidInput(
                "Required. Add up at most 31 days at a time.", field="to" if after else "from"
            )
        if before - after > _LONGEST_PERIOD:
            raise InvalidInput("Must be at most 31 days later than from.", field="to")
        async with self._share.turn(caller.id):
            with _asking_for_less():
                totals = await self._payments.totals(criteria, after, before)
        return PaymentTotals(start=after, end=before, totals=totals)

    def _criteria_for(self, caller: Principal, filters: Filters) -> Criteria:
        if filters.disputed is not None and not (caller.is_admin or caller.key_id):
            raise Forbidden("Only administrators and API keys may filter by disputes.")
        criteria = Criteria(
            payer=_payer_for(caller, filters.user_id),
            status=filters.status,
            method=filters.method,
            service_type=filters.service_type,
            provider=filters.provider_id,
            least=filters.min_amount,
            most=filters.max_amount,
            after=self._instant(filters.start, "from"),
            before=self._instant(filters.end, "to"),
            late=filters.late,
            disputed=filters.disputed,
            entry=filters.metadata and hash_entry(*filters.metadata),
            customer=filters.customer_id,
        )
        _check(criteria)
        return criteria

    def _instant(self, text: str | None, field: str) -> datetime | None:
        return None if text is None else self._days.read_instant(text, field)


@contextmanager
def _asking_for_less() -> Iterator[None]:
    try:
        yield
    except QueryTooSlow as error:
        raise InvalidInput(
            "Must be nearer to `to`: too many payments of the period would have to be looked through.",
            field="from",
        ) from error


def _payer_for(caller: Principal, user_id: str | None) -> str | None:
    """Return whose payments to list; None for everybody's."""
    if caller.is_admin:
        return user_id
    if user_id not in (None, caller.id):
        raise Forbidden("You may only see your own payments.")
    return caller.id


def _require_shown(filters: Filters) -> None:
    """Raise Forbidden, naming the field, if a filter uses data that grantees may not see."""
    for name, value in filters._asdict().items():
        if value is not None and name not in _SHOWN:
            raise Forbidden(
                "You may filter these payments only by fields that you can see.", field=name
            )


def _check(criteria: Criteria) -> None:
    if None not in (criteria.least, criteria.most) and criteria.least > criteria.most:  # type: ignore[operator]
        raise InvalidInput("Must not be less than minAmount.", field="maxAmount")
    if None not in (criteria.after, criteria.before) and criteria.after >= criteria.before:  # type: ignore[operator]
        raise InvalidInput("Must be later than from.", field="to")
