"""Stored sums of settlement rows, so that the ledger of a month need not read the rows."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from operator import itemgetter
from typing import Any, Final

from pymongo import DeleteOne, UpdateOne

from kernapay.settlements.models import SettlementSum
from kernapay.settlements.rows import Group, Sums
from kernapay.storage.repository import Repository, Row

_KEYS: Final = ("settlementId", "type", "quarter")
_NAMES: Final = Sums.__slots__
_COLUMNS: Final = {"_id": 0, **dict.fromkeys((*_KEYS, *_NAMES), 1)}
# The rows of a month are some thousands.
_keys_of = itemgetter(*_KEYS)
_sums_of = itemgetter(*_NAMES)


class SettlementSumRepository(Repository[SettlementSum]):
    """The sums of each settlement by type and quarter of an hour."""

    model = SettlementSum

    async def replace(self, settlement_ids: Iterable[str], sums: Mapping[Group, Sums]) -> bool:
        """Store all sums of some settlements. Return False if they are stored already."""
        stored = await self._read({"settlementId": {"$in": sorted(settlement_ids)}})
        changed = {group: each for group, each in sums.items() if stored.get(group) != each}
        gone = stored.keys() - sums.keys()
        if changed or gone:
            await self._run(lambda: self._write(changed, gone))
        return bool(changed or gone)

    async def by_type(self, settlement_ids: Iterable[str]) -> dict[str, dict[str, Sums]]:
        """Return the sums of settlements, by settlement and type."""
        match = {"settlementId": {"$in": sorted(settlement_ids)}}
        key = {"settlementId": "$settlementId", "type": "$type"}
        # Not added up here: that would take longer than all the rest of a ledger.
        totals = {name: {"$sum": f"${name}"} for name in _NAMES}
        pipeline: list[Row] = [{"$match": match}, {"$group": {"_id": key, **totals}}]
        found = await self._run(lambda: self._collection.aggregate(pipeline).to_list())
        result: dict[str, dict[str, Sums]] = defaultdict(dict)
        for row in found:
            result[row["_id"]["settlementId"]][row["_id"]["type"]] = Sums().add(row)
        return result

    async def entered_between(self, after: datetime, before: datetime) -> dict[Group, Sums]:
        """Return the sums of entities created in a period that begins and ends with a quarter of an hour."""
        return await self._read({"quarter": {"$gte": after, "$lt": before}})

    async def _read(self, where: Row) -> dict[Group, Sums]:
        rows = await self._run(lambda: self._collection.find(where, _COLUMNS).to_list())
        return {Group(*_keys_of(row)): Sums(*_sums_of(row)) for row in rows}

    def _write(self, changed: Mapping[Group, Sums], gone: Iterable[Group]) -> None:
        at = self.clock()
        writes: list[UpdateOne | DeleteOne] = [
            UpdateOne(
                _key_of(group),
                {
                    "$set": {**sums.as_mapping(), "updatedAt": at},
                    "$setOnInsert": {"createdAt": at},
                },
                upsert=True,
            )
            for group, sums in changed.items()
        ]
        writes += [DeleteOne(_key_of(group)) for group in gone]
        self._collection.bulk_write(writes, ordered=False)


def _key_of(group: Group) -> dict[str, Any]:
    return dict(zip(_KEYS, group, strict=True))
