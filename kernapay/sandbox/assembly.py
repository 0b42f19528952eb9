"""Put the sandbox together."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from kernapay.sandbox.agenda import Agenda
from kernapay.sandbox.announcer import Announcer
from kernapay.sandbox.books import Books
from kernapay.sandbox.clock import Clock
from kernapay.sandbox.config import SandboxConfig
from kernapay.sandbox.customer import Customer
from kernapay.sandbox.dispatcher import Dispatcher
from kernapay.sandbox.disputes import Disputes
from kernapay.sandbox.entities import Endpoint
from kernapay.sandbox.faults import Faults
from kernapay.sandbox.ids import new_id
from kernapay.sandbox.journal import Journal
from kernapay.sandbox.orders import Orders
from kernapay.sandbox.payments import Payments
from kernapay.sandbox.refunds import Refunds
from kernapay.sandbox.settlements import Settlements

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sandbox:
    """Everything a controller may ask for."""

    config: SandboxConfig
    journal: Journal
    books: Books
    clock: Clock
    agenda: Agenda
    faults: Faults
    dispatcher: Dispatcher
    orders: Orders
    payments: Payments
    refunds: Refunds
    settlements: Settlements
    disputes: Disputes
    customer: Customer

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Read the books, keep time and deliver, until the end of the block."""
        self.books.load()
        self.resume()
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(self.journal.run()), loop.create_task(self.agenda.run())]
        for task in tasks:
            task.add_done_callback(complain)
        try:
            yield
        finally:
            await self.dispatcher.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.journal.close()

    def resume(self) -> None:
        """Take up what the rows say is under way, and add what the configuration asks for."""
        self.agenda.load()
        self.dispatcher.load()
        self.settlements.expect()
        for owner in self.config.keys:
            self._configure_webhooks(owner)

    def _configure_webhooks(self, owner: str) -> None:
        """Have the endpoints that the configuration names now.

        One that it no longer names moves to a new address, and takes what waits for it along; else it goes.
        """
        targets = {
            target.url: target
            for target in self.config.webhooks
            if (target.key_id or self.config.first_key) == owner
        }
        known = {endpoint.url: endpoint for endpoint in self.books.endpoints.by("owner", owner)}
        left = [e for e in known.values() if e.configured and e.url not in targets]
        for url, target in targets.items():
            endpoint = known.get(url) or (left.pop(0) if left else None)
            if endpoint is None:
                endpoint = self.books.endpoints.add(
                    Endpoint(
                        id=new_id("whk"),
                        owner=owner,
                        url=url,
                        secret=target.secret,
                        created_at=self.clock.stamp(),
                    )
                )
            endpoint.url, endpoint.secret, endpoint.configured = url, target.secret, True
            self.books.endpoints.changed(endpoint)
            for delivery in self.books.deliveries:
                if delivery.endpoint_id == endpoint.id and delivery.status == "pending":
                    delivery.url, delivery.secret = url, target.secret
                    self.books.deliveries.changed(delivery)
        for endpoint in left:
            self.books.endpoints.remove(endpoint.id)

    def reset(self) -> None:
        """Begin anew: nothing but the keys and webhooks of the configuration."""
        self.books.clear()
        self.clock.reset()
        self.resume()


def complain(task: asyncio.Task[None]) -> None:
    """Say so if a part that runs for life has died of an error."""
    if not task.cancelled() and (problem := task.exception()) is not None:
        log.critical("A part of the sandbox has stopped; restart it.", exc_info=problem)


def assemble(config: SandboxConfig) -> Sandbox:
    journal = Journal(config.data)
    books = Books(journal)
    clock = Clock(books)
    agenda = Agenda(books, clock)
    faults = Faults(books)
    dispatcher = Dispatcher(config, books, journal, clock, agenda)
    announcer = Announcer(books, clock, agenda, faults, dispatcher)
    refunds = Refunds(config, books, clock, agenda, faults, announcer)
    payments = Payments(config, books, clock, agenda, faults, announcer, refunds)
    return Sandbox(
        config=config,
        journal=journal,
        books=books,
        clock=clock,
        agenda=agenda,
        faults=faults,
        dispatcher=dispatcher,
        orders=Orders(config, books, clock),
        payments=payments,
        refunds=refunds,
        settlements=Settlements(config, books, clock, agenda, announcer),
        disputes=Disputes(books, clock, agenda, announcer),
        customer=Customer(config, books, payments),
    )
