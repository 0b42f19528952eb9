"""The queries on settlements and their rows, and on the payments that wait for theirs."""

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from bson import ObjectId
from pymongo import DeleteMany, InsertOne, UpdateOne
from pymongo.errors import BulkWriteError

from kernapay.payments.models import Payment
from kernapay.payments.states import PAID
from kernapay.settlements.dtos import ListedRow, SettlementRowView, SettlementView, Unsettled
from kernapay.settlements.models import BankSettlement, SettlementProblem, SettlementRow
from kernapay.settlements.rows import Group, Sums, key_of, later_facts
from kernapay.storage.announcing import MarkedRows
from kernapay.storage.filters import BeforeAfter, LimitOffset, OrderBy
from kernapay.storage.repository import DuplicateRow, ReadOnlyRepository, Repository
from kernapay.storage.updates import Changed, RowChanged, RowGone

_NEWEST: Final = (
    OrderBy("settled_at", descending=True),
    OrderBy("settlement_id", descending=True),
)
_DUPLICATE: Final = 11000
# All zones have had offsets of whole quarters of an hour since 1972, so each quarter lies in one day.
_QUARTER_MS: Final = 15 * 60 * 1000
# What came in, which may be more or less than what was ordered. Older rows have only the latter.
_PAID: Final = {"$ifNull": ["$amountPaid", "$amount"]}


class SettlementRepository(MarkedRows[BankSettlement]):
    model = BankSettlement

    async def by_id(self, settlement_id: str) -> BankSettlement | None:
        return await self.get_one_or_none(settlement_id=settlement_id)

    async def known_ids(self, settlement_ids: Iterable[str]) -> set[str]:
        """Return the stored ones among these settlements, with their amounts."""
        rows = await self.list(settlement_id__in=sorted(settlement_ids))
        return {row.settlement_id for row in rows if row.amount is not None}

    async def keep(self, found: BankSettlement, *, is_current: bool) -> None:
        """Store a settlement as the gateway shows it. Repeats change nothing.

        Raises RowChanged if it changed meanwhile, RowGone.

        `is_current` says that the gateway was just asked. Otherwise, as from an event, only what is missing is added:
        an event may be older than what is stored.
        """
        found.announced = 0
        try:
            await self.add(found)
            return
        except DuplicateRow:
            stored = await self.get(settlement_id=found.settlement_id)
        if found.amount is None:
            return
        names = ("status", "amount", "fees", "tax", "settled_at")
        change = {f"set__{name}": getattr(found, name) for name in names}
        if not is_current and stored.amount is not None:
            change = {}
        # A UTR is given once and for all.
        if found.utr and (is_current or not stored.utr):
            change["set__utr"] = found.utr
        change = {k: v for k, v in change.items() if getattr(stored, k.removeprefix("set__")) != v}
        if not change:
            return
        # An event may come while the feed is read: what is newer must not be replaced by what was read before.
        unchanged = {name: getattr(stored, name) for name in ("status", "amount", "utr")}
        kept = await self.update_if({"id": stored.pk}, unchanged, **change)
        if not isinstance(kept, Changed):
            raise RowChanged

    async def record_sums(
        self, stored: BankSettlement, sums: Sums, problems: Sequence[SettlementProblem]
    ) -> None:
        """Store the sums of a settlement's rows, and why a person should check it.

        Once it is processed, mark it for the relay. Raises RowChanged if it changed since it was read, RowGone.
        """
        difference = None if stored.amount is None else stored.amount - (sums.credit - sums.debit)
        change: dict[str, Any] = {
            "rows": sums.rows,
            "credit": sums.credit,
            "debit": sums.debit,
            "row_fee": sums.fee,
            "row_tax": sums.tax,
            "difference": difference,
            "problems": list(problems),
            "has_problem": bool(problems),
        }
        if stored.is_processed and stored.announced == 0 and stored.announce is None:
            change["announce"] = self.clock()
        if any(getattr(stored, name) != value for name, value in change.items()):
            updates = {f"set__{name}": value for name, value in change.items()}
            unchanged = {"updated_at": stored.updated_at}
            recorded = await self.update_if({"id": stored.pk}, unchanged, **updates)
            if not isinstance(recorded, Changed):
                raise RowChanged

    async def page(
        self,
        after: datetime | None,
        before: datetime | None,
        has_problem: bool | None,
        *,
        count: int,
        skip: int,
        cursor: BankSettlement | None,
    ) -> list[SettlementView]:
        """Return a page, newest first. With a `cursor`, start after that settlement."""
        where: dict[str, Any] = {} if has_problem is None else {"has_problem": has_problem}
        if cursor is not None:
            before = min(before, _next(cursor)) if before else _next(cursor)
            where["__raw__"] = {
                "$or": [
                    {"settledAt": {"$lt": cursor.settled_at}},
                    {"settlementId": {"$lt": cursor.settlement_id}},
                ]
            }
        return await self.select(
            SettlementView,
            BeforeAfter("settled_at", before=before, after=after),
            *_NEWEST,
            LimitOffset(count, 0 if cursor else skip),
            **where,
        )

    async def in_window(self, after: datetime, before: datetime | None) -> list[BankSettlement]:
        """Return all settlements of a period, until now without an end."""
        return await self.list(BeforeAfter("settled_at", before=before, after=after))

    async def processed(self, settlement_ids: Iterable[str]) -> list[BankSettlement]:
        """Return the processed ones among these settlements: only their money reached the bank account."""
        rows = await self.list(settlement_id__in=sorted(settlement_ids))
        return [row for row in rows if row.is_processed]

    async def processed_ids(self, settlement_ids: Iterable[str]) -> set[str]:
        return {row.settlement_id for row in await self.processed(settlement_ids)}

    async def newest(self, count: int) -> list[BankSettlement]:
        return await self.list(*_NEWEST, LimitOffset(count))

    async def count_problems(self, before: datetime) -> int:
        """Count the settlements made before a time that a person should check, up to 10,000."""
        return await self.count(LimitOffset(10_000), has_problem=True, settled_at__lt=before)


def _next(cursor: BankSettlement) -> datetime:
    # The bound of the index, exclusive: without it, MongoDB would read every newer settlement first.
    return cursor.settled_at + timedelta(milliseconds=1)


class SettlementRowRepository(Repository[SettlementRow]):
    model = SettlementRow

    async def keep(self, found: Sequence[SettlementRow]) -> list[SettlementRow]:
        """Store rows of the feed, each once, and return them as stored.

        Later reads add what was null. The first amounts that can be read count; others are noted as contradictions.
        """
        ids = sorted({row.entity_id for row in found})
        stored = {key_of(row): row for row in await self.list(entity_id__in=ids)}
        at = self.clock()
        writes: list[InsertOne[Any] | UpdateOne | DeleteMany] = []
        new: dict[tuple[str | None, str, str], SettlementRow] = {}
        for row in found:
            before = stored.get(key_of(row))
            if before is None:
                row.created_at = row.updated_at = at
                new.setdefault(key_of(row), row)
            elif change := later_facts(before, row):
                # Of two readable reads of a row that had a flaw, the first counts.
                writes.append(UpdateOne({"_id": before.pk, "flaw": before.flaw}, change))
        for row in new.values():
            row.validate()
            writes.append(InsertOne(row.to_mongo()))
            if row.settlement_id and (None, row.entity_id, row.type) in stored:
                # It was held back, and now it is settled.
                held = {"settlementId": None, "entityId": row.entity_id, "type": row.type}
                writes.append(DeleteMany(held))
        if writes:
            await self._run(lambda: self._write(writes))
            stored = {key_of(row): row for row in await self.list(entity_id__in=ids)}
        return [stored[key] for key in dict.fromkeys(map(key_of, found)) if key in stored]

    def _write(self, writes: list[InsertOne[Any] | UpdateOne | DeleteMany]) -> None:
        try:
            self._collection.bulk_write(writes, ordered=False)
        except BulkWriteError as error:
            # Another worker has stored the same row at the same time.
            errors = (error.details or {}).get("writeErrors", ())
            if not errors or any(each["code"] != _DUPLICATE for each in errors):
                raise

    async def note_payment(self, row: SettlementRow, reference_id: str, *, is_done: bool) -> None:
        """Store which payment a row belongs to. Unless `is_done`, the row is entered there again later."""
        at = self.clock() if is_done else None
        noted = await self.update_where(
            {"id": row.pk}, set__reference_id=reference_id, set__entered_in_payment_at=at
        )
        if noted is None:
            raise RowGone

    async def forget_payments(self, settlement_id: str) -> None:
        """Record that no row of a settlement is entered in its payment."""
        rows = {"settlementId": settlement_id}
        change = {"$set": {"enteredInPaymentAt": None}}
        await self._run(lambda: self._collection.update_many(rows, change))

    async def page(self, settlement_id: str, count: int, skip: int) -> list[SettlementRowView]:
        """Return a page of the rows of a settlement."""
        order = (OrderBy("entity_id"), OrderBy("type"))
        return await self.select(
            SettlementRowView, *order, LimitOffset(count, skip), settlement_id=settlement_id
        )

    def batches_of(self, settlement_id: str) -> AsyncIterator[list[ListedRow]]:
        """Yield all rows of a settlement, in batches."""
        order = (OrderBy("entity_id"), OrderBy("type"))
        return self.batches(ListedRow, *order, settlement_id=settlement_id)

    def entered_between(self, after: datetime, before: datetime) -> AsyncIterator[list[ListedRow]]:
        """Yield the rows of entities that were created in a period, in batches, oldest first."""
        period = BeforeAfter("entered_at", before=before, after=after)
        return self.batches(ListedRow, period, OrderBy("entered_at"))

    async def sums_of(self, settlement_ids: Iterable[str]) -> dict[Group, Sums]:
        """Add up the rows of settlements, by settlement, type and quarter of an hour."""
        match = {"settlementId": {"$in": sorted(settlement_ids)}}
        key = {
            "settlementId": "$settlementId",
            "type": "$type",
            "quarter": _quarter_of("$enteredAt"),
        }
        sums: dict[str, Any] = {
            name: {"$sum": f"${name}"} for name in ("credit", "debit", "fee", "tax")
        }
        sums["rows"] = {"$sum": 1}
        sums["flaws"] = {"$sum": {"$cond": [{"$ifNull": ["$flaw", False]}, 1, 0]}}
        sums["contradictions"] = {"$sum": {"$size": {"$ifNull": ["$contradictions", []]}}}
        pipeline = [{"$match": match}, {"$group": {"_id": key, **sums}}]
        found = await self._run(lambda: self._collection.aggregate(pipeline).to_list())
        result: dict[Group, Sums] = {}
        for row in found:
            names = row["_id"]
            group = Group(names["settlementId"], names["type"], names.get("quarter"))
            result[group] = Sums().add(row)
        return result


class _RowId(msgspec.Struct):
    id: str = msgspec.field(name="_id")


class UnsettledPayments(ReadOnlyRepository[Payment]):
    """Captured payments whose money has not reached the bank account."""

    model = Payment

    async def page(self, before: datetime, count: int, skip: int) -> list[Unsettled]:
        """Return a page of the unsettled payments paid before a time, oldest first."""
        order = (OrderBy("paid_at"), OrderBy("reference_id"))
        return await self.select(Unsettled, *order, LimitOffset(count, skip), **_unsettled(before))

    async def count_before(self, before: datetime) -> int:
        """Count the unsettled payments paid before a time, up to 10,000."""
        return await self.count(LimitOffset(10_000), **_unsettled(before))

    async def ids_paid_between(self, after: datetime, before: datetime) -> list[ObjectId]:
        """Return the ids of the unsettled payments paid in a period, oldest first."""
        window = BeforeAfter("paid_at", before=before, after=after)
        where = _unsettled(before)
        batches = self.batches(_RowId, window, OrderBy("paid_at"), **where)
        return [ObjectId(row.id) async for batch in batches for row in batch]

    async def paid_between(
        self, after: datetime, before: datetime
    ) -> list[tuple[datetime, str, int, int]]:
        """Count and add up the unsettled payments paid in a period, by quarter of an hour and currency."""
        where = self._where({**_unsettled(before), "paid_at__gte": after})
        key = {"quarter": _quarter_of("$paidAt"), "currency": "$currency"}
        sums = {"count": {"$sum": 1}, "amount": {"$sum": _PAID}}
        pipeline = [{"$match": where}, {"$group": {"_id": key, **sums}}]
        found = await self._run(lambda: self._collection.aggregate(pipeline).to_list())
        return [
            (row["_id"]["quarter"], row["_id"]["currency"], row["count"], row["amount"])
            for row in found
        ]


def _unsettled(before: datetime) -> dict[str, Any]:
    return {"status__in": PAID, "settled_at": None, "paid_at__lt": before}


def _quarter_of(field: str) -> dict[str, Any]:
    ms = {"$toLong": field}
    return {"$toDate": {"$subtract": [ms, {"$mod": [ms, _QUARTER_MS]}]}}
