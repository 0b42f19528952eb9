"""The queries that read disputes. They lie in their payments; `payments/ledger.py` has the writes."""

from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Struct

from kernapay.payments.disputes.dtos import DisputeDetail
from kernapay.payments.models import Payment
from kernapay.payments.states import UNDECIDED, DisputeStatus
from kernapay.storage.filters import LimitOffset
from kernapay.storage.repository import ReadOnlyRepository

_MAX_TIME_MS: Final = 8_000
_MOST_COUNTED: Final = 10_000
_MOST_WARNED: Final = 100


class OpenDispute(Struct, rename="camel"):
    """The columns that counting open disputes needs."""

    status: str
    phase: str = ""
    respond_by: datetime | None = None


class DisputedPayment(Struct, rename="camel"):
    disputes: list[OpenDispute] = []


class DisputeRepository(ReadOnlyRepository[Payment]):
    model = Payment

    async def payment_of(self, dispute_id: str) -> Payment | None:
        """Return the payment that a dispute is stored in."""
        return await self.get_one_or_none(disputes__dispute_id=dispute_id)

    async def detail(self, dispute_id: str, payee_id: str | None) -> DisputeDetail | None:
        """Return a dispute; with a `payee_id`, only one about a payment to this account."""
        payment = await self.payment_of(dispute_id)
        if payment is None or payee_id not in (None, str(payment.payee_id)):
            return None
        (dispute,) = (each for each in payment.disputes if each.dispute_id == dispute_id)
        row = {**dispute.to_mongo(), "referenceId": payment.reference_id}
        return msgspec.convert(row, DisputeDetail)

    async def page(
        self,
        status: DisputeStatus | None,
        payee_id: str | None,
        count: int,
        skip: int,
        after: DisputeDetail | None,
    ) -> list[DisputeDetail]:
        """Return a page of disputes, the nearest deadline first, and those without one before all.

        With `after`, start after that dispute. With a `payee_id`, return only those about payments to this account.
        """
        statuses = [status.value] if status else [each.value for each in DisputeStatus]
        where: dict[str, Any] = {"disputes__status__in": statuses}
        if payee_id is not None:
            where["payee_id"] = payee_id
        wanted: dict[str, Any] = {"disputes.status": {"$in": statuses}}
        if after is not None:
            skip = 0
            wanted["$or"] = [
                {"disputes.respondBy": {"$gt": after.respond_by}},
                {
                    "disputes.respondBy": after.respond_by,
                    "disputes.disputeId": {"$gt": after.dispute_id},
                },
            ]
            if after.respond_by is None:
                wanted["$or"][0] = {"disputes.respondBy": {"$ne": None}}
        pipeline: list[dict[str, Any]] = [
            {"$match": self._where(where)},
            {"$unwind": "$disputes"},
            {"$match": wanted},
            {"$project": {"referenceId": 1, "disputes": 1}},
            {"$sort": {"disputes.respondBy": 1, "disputes.disputeId": 1}},
            {"$skip": skip},
            {"$limit": count},
        ]

        def read() -> list[DisputeDetail]:
            rows = self._collection.aggregate(pipeline, maxTimeMS=_MAX_TIME_MS)
            return [
                msgspec.convert(
                    {**row["disputes"], "referenceId": row["referenceId"]}, DisputeDetail
                )
                for row in rows
            ]

        return await self._run(read)

    async def list_undecided(self) -> list[OpenDispute]:
        """Return the disputes that wait for evidence or a decision, of up to 10,000 payments."""
        rows = await self.select(
            DisputedPayment, LimitOffset(_MOST_COUNTED), disputes__status__in=list(UNDECIDED)
        )
        return [each for row in rows for each in row.disputes if each.status in UNDECIDED]

    async def list_to_warn(self, at: datetime) -> list[Payment]:
        """Return payments with a dispute whose warning is due."""
        return await self.list(LimitOffset(_MOST_WARNED), disputes__warn_at__lte=at)
