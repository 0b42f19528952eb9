"""Payments of a filled database that the requests name: new ones, and others of any age."""

import random
from datetime import UTC, datetime, timedelta
from typing import Final

from bson import ObjectId
from pymongo import DESCENDING

from tests.aliases import Json
from tests.benchmarks.growth.filling import SPAN
from tests.benchmarks.growth.site import Site

_COUNT: Final = 400
_NEWEST: Final = [("createdAt", DESCENDING)]
# The rest of a page follows on any of them.
_OLDEST: Final = 0.95


class Samples:
    """Rows of payments. `recent` are what people ask for, `any_age` are what operators look up."""

    def __init__(self, site: Site) -> None:
        self._rows = site.store.payments
        self._now = datetime.now(UTC)
        self._random = random.Random(site.payments)
        self.recent = list(self._rows.find().sort(_NEWEST).limit(_COUNT))
        self.any_age = self._spread({})
        self.paid = self._spread({"settlements.type": "payment"})
        self.refunded = self._spread({"status": "refunded"})
        self.of_payer = self._spread({"userId": ObjectId(site.payer.id)})
        self.to_provider = self._spread(
            {"payeeId": ObjectId(site.provider.id), "status": "success"}
        )

    def _spread(self, where: Json) -> list[Json]:
        """Return rows from all of the time."""
        found = []
        for _ in range(_COUNT):
            at = self._now - timedelta(
                seconds=self._random.uniform(0, _OLDEST) * SPAN.total_seconds()
            )
            row = self._rows.find_one({**where, "createdAt": {"$lte": at}}, sort=_NEWEST)
            if row is not None:
                found.append(row)
        return found
