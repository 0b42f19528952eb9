"""The requests that are measured."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice
from typing import Final

from tests.actors import ADMIN, PAYMENTS, SETTLEMENTS
from tests.aliases import Json
from tests.benchmarks.api.material import Requests
from tests.benchmarks.growth.payments import ORDER_NUMBER, order_body
from tests.benchmarks.growth.samples import Samples
from tests.benchmarks.growth.site import Site, user_of
from tests.factories import unique
from tests.stack import METRICS_TOKEN

_MONTH: Final = timedelta(days=31)


class GrowthRequests(Requests):
    """Each method returns so many requests, of which each is sent once."""

    def __init__(self, site: Site) -> None:
        super().__init__(site.servers, [user_of(user) for user in site.users])
        self._site = site
        self._samples = Samples(site)
        self._payer, self._provider = user_of(site.payer), user_of(site.provider)
        self._admin = user_of(site.admin)

    def live_checks(self, count: int) -> list[bytes]:
        return [self._get("/health/live")] * count

    def profiles(self, count: int) -> list[bytes]:
        return self._repeat([self._get("/v1/api/users/profile", self._payer.token)], count)

    def statuses(self, count: int) -> list[bytes]:
        return self._statuses(self._samples.recent, count)

    def old_statuses(self, count: int) -> list[bytes]:
        return self._statuses(self._samples.any_age, count)

    def status_of(self, payment: Json) -> bytes:
        return self._get(f"{PAYMENTS}/status/{payment['referenceId']}")

    def history_of(self, number: int) -> bytes:
        """Return a request of the first page of the account whose turn it is."""
        user = self.users[number % len(self.users)]
        return self._get(f"{PAYMENTS}/history/{user.id}?count=10", user.token)

    def _statuses(self, rows: Iterable[Json], count: int) -> list[bytes]:
        return self._repeat([self.status_of(row) for row in rows], count)

    def shows(self, count: int) -> list[bytes]:
        paths = (f"{PAYMENTS}/{row['referenceId']}" for row in self._samples.any_age)
        return self._repeat([self._get(path, self._admin.token) for path in paths], count)

    def first_pages(self, count: int) -> list[bytes]:
        return self._repeat([self._get(self._history, self._payer.token)], count)

    def next_pages(self, count: int) -> list[bytes]:
        """Return requests of pages of the payer's history, after payments of any age."""
        rows = self._samples.of_payer
        paths = (f"{self._history}&cursor={row['referenceId']}" for row in rows)
        return self._repeat([self._get(path, self._payer.token) for path in paths], count)

    @property
    def _history(self) -> str:
        return f"{PAYMENTS}/history/{self._payer.id}?count=10"

    def first_received(self, count: int) -> list[bytes]:
        path = f"{PAYMENTS}/received?count=10"
        return self._repeat([self._get(path, self._provider.token)], count)

    def next_received(self, count: int) -> list[bytes]:
        rows = self._samples.to_provider
        paths = (f"{PAYMENTS}/received?count=10&cursor={row['referenceId']}" for row in rows)
        return self._repeat([self._get(path, self._provider.token) for path in paths], count)

    def purchases(self, count: int) -> list[bytes]:
        """Return creations of payments by the payer to the provider."""
        return [
            self._purchase(unique("ORD-"), self._provider.id, unique("key-")) for _ in range(count)
        ]

    def repeats(self, count: int) -> list[bytes]:
        """Return creations of payments that were just created."""
        requests = self.purchases(count)
        self._call_all(self._servers.api, requests, 201)
        return requests

    def old_repeats(self, count: int) -> list[bytes]:
        """Return creations of payments of any age."""
        return self._repeat(
            [
                self._purchase(
                    row["notes"][ORDER_NUMBER], row.get("providerId"), row["idempotencyKey"]
                )
                for row in self._samples.of_payer
            ],
            count,
        )

    def _purchase(self, number: str, payee: str | None, key: str) -> bytes:
        body = {**order_body(number, payee), "idempotencyKey": key}
        return self._post(f"{PAYMENTS}/create", body, self._payer.token)

    def refunds(self, count: int) -> list[bytes]:
        """Return refunds of payments that were just paid."""
        paid = self.checkouts(count)
        self._call_all(self._servers.api, [self.verify(*each) for each in paid], 200)
        return [
            self._post(
                f"{PAYMENTS}/{payment['referenceId']}/refunds",
                {"idempotencyKey": unique("refund-")},
                self._admin.token,
            )
            for payment, _ in paid
        ]

    def scrapes(self, count: int) -> list[bytes]:
        return self._repeat([self._get("/metrics", METRICS_TOKEN)], count)

    def searches(self, count: int, find: Callable[[Json], object], of: str = "paid") -> list[bytes]:
        """Return an administrator's searches for what is found in rows."""
        rows: Sequence[Json] = getattr(self._samples, of)
        paths = (f"{ADMIN}/payments/search?q={find(row)}" for row in rows)
        return self._repeat([self._get(path, self._admin.token) for path in paths], count)

    def searches_by_address(self, count: int) -> list[bytes]:
        path = f"{ADMIN}/payments/search?q={self._payer.email}"
        return self._repeat([self._get(path, self._admin.token)], count)

    def vain_searches(self, count: int) -> list[bytes]:
        texts = (unique("order_") for _ in range(count))
        paths = (f"{ADMIN}/payments/search?q={text}" for text in texts)
        return [self._get(path, self._admin.token) for path in paths]

    def admin_reads(self, count: int, path: str) -> list[bytes]:
        return self._repeat([self._get(path, self._admin.token)], count)

    def ledgers(self, count: int) -> list[bytes]:
        """Return requests of the ledger of the last month."""
        end = datetime.now(UTC).date() + timedelta(days=1)
        path = f"{SETTLEMENTS}/ledger?from={end - _MONTH}&to={end}"
        return self._repeat([self._get(path, self._admin.token)], count)

    def totals(self, count: int) -> list[bytes]:
        """Return requests of what the payer's payments of the last month add up to."""
        end = datetime.now(UTC).date() + timedelta(days=1)
        path = f"{PAYMENTS}/totals?from={end - _MONTH}&to={end}"
        return self._repeat([self._get(path, self._payer.token)], count)

    def settlement_details(self, count: int) -> list[bytes]:
        ids = {row["settlements"][0]["settlementId"] for row in self._samples.paid}
        paths = (f"{SETTLEMENTS}/{each}?count=10" for each in sorted(ids))
        return self._repeat([self._get(path, self._admin.token) for path in paths], count)

    @staticmethod
    def _repeat(requests: Sequence[bytes], count: int) -> list[bytes]:
        """Return so many of the requests, in turn."""
        return list(islice(cycle(requests), count))
