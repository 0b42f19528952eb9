"""Build the sandbox from its parts."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from kernapay.sandbox.clock import Clock
from kernapay.sandbox.config import SandboxConfig
from kernapay.sandbox.customer_simulator import CustomerSimulator
from kernapay.sandbox.customers import Customers
from kernapay.sandbox.database import Database
from kernapay.sandbox.deliveries import DeliveryQueue
from kernapay.sandbox.disputes import Disputes
from kernapay.sandbox.downtimes import Downtimes
from kernapay.sandbox.entities import Endpoint
from kernapay.sandbox.events import EventPublisher
from kernapay.sandbox.faults import Faults
from kernapay.sandbox.ids import new_id
from kernapay.sandbox.instant_settlements import InstantSettlements
from kernapay.sandbox.keyring import Keyring
from kernapay.sandbox.linked_accounts import LinkedAccounts
from kernapay.sandbox.orders import Orders
from kernapay.sandbox.payment_links import PaymentLinks
from kernapay.sandbox.payments import Payments
from kernapay.sandbox.refunds import Refunds
from kernapay.sandbox.request_log import RequestLog
from kernapay.sandbox.scheduler import Scheduler
from kernapay.sandbox.settlements import Settlements
from kernapay.sandbox.store import Store
from kernapay.sandbox.transfers import Transfers

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sandbox:
    """Every part that a controller can use."""

    config: SandboxConfig
    database: Database
    store: Store
    clock: Clock
    scheduler: Scheduler
    keyring: Keyring
    request_log: RequestLog
    faults: Faults
    deliveries: DeliveryQueue
    orders: Orders
    customers: Customers
    payment_links: PaymentLinks
    payments: Payments
    refunds: Refunds
    settlements: Settlements
    transfers: Transfers
    linked_accounts: LinkedAccounts
    instant_settlements: InstantSettlements
    downtimes: Downtimes
    disputes: Disputes
    customer_simulator: CustomerSimulator

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Load the store, then commit, keep time and deliver until the block ends."""
        self.store.load()
        self.resume()
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(self.database.run()), loop.create_task(self.scheduler.run())]
        for task in tasks:
            task.add_done_callback(log_failure)
        try:
            yield
        finally:
            await self.deliveries.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.database.close()

    def resume(self) -> None:
        """Continue what the rows say is under way, and apply the configuration."""
        self.scheduler.load()
        self.deliveries.load()
        self.settlements.schedule_next()
        for owner in self.config.keys:
            self._configure_endpoints(owner)

    def _configure_endpoints(self, owner: str) -> None:
        """Give the key the endpoints that SANDBOX_WEBHOOKS names.

        An endpoint that the variable no longer names gets one of the new addresses, so that its
        pending deliveries arrive there. If there is no new address, it is removed.
        """
        targets = {
            target.url: target
            for target in self.config.webhooks
            if (target.key_id or self.config.first_key) == owner
        }
        known = {e.url: e for e in self.store.endpoints.find_by("owner", owner)}
        unnamed = [e for e in known.values() if e.configured and e.url not in targets]
        for url, target in targets.items():
            endpoint = known.get(url) or (unnamed.pop(0) if unnamed else None)
            if endpoint is None:
                endpoint = self.store.endpoints.add(
                    Endpoint(
                        id=new_id("whk"),
                        owner=owner,
                        url=url,
                        secret=target.secret,
                        created_at=self.clock.timestamp(),
                    )
                )
            endpoint.url, endpoint.secret, endpoint.configured = url, target.secret, True
            self.store.endpoints.save(endpoint)
            for delivery in self.store.deliveries:
                if delivery.endpoint_id == endpoint.id and delivery.status == "pending":
                    delivery.url, delivery.secret = url, target.secret
                    self.store.deliveries.save(delivery)
        for endpoint in unnamed:
            self.store.endpoints.remove(endpoint.id)

    def reset(self) -> None:
        """Remove everything except the keys and webhooks of the configuration."""
        self.store.clear()
        self.request_log.clear()
        self.clock.reset()
        self.resume()


def log_failure(task: asyncio.Task[None]) -> None:
    """Log the error that has ended a background task."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.critical("A background task of the sandbox has failed; restart it.", exc_info=error)


def build_sandbox(config: SandboxConfig) -> Sandbox:
    database = Database(config.data)
    store = Store(database)
    clock = Clock(store)
    scheduler = Scheduler(store, clock)
    faults = Faults(store)
    keyring = Keyring(config, store, clock)
    deliveries = DeliveryQueue(config, store, database, clock, scheduler)
    events = EventPublisher(store, clock, scheduler, faults, deliveries)
    refunds = Refunds(config, store, clock, scheduler, faults, events)
    downtimes = Downtimes(store, clock, scheduler, events, config.keys)
    payments = Payments(config, store, clock, scheduler, faults, events, refunds, downtimes)
    settlements = Settlements(config, store, clock, scheduler, events)
    transfers = Transfers(store, clock, scheduler, events, settlements)
    settlements.on_settle(transfers.on_settle)
    orders = Orders(config, store, clock, transfers)
    payment_links = PaymentLinks(config, store, clock, scheduler, events, orders)
    payments.on_capture(payment_links.on_capture)
    payments.on_capture(transfers.on_capture)
    return Sandbox(
        config=config,
        database=database,
        store=store,
        clock=clock,
        scheduler=scheduler,
        keyring=keyring,
        request_log=RequestLog(clock),
        faults=faults,
        deliveries=deliveries,
        orders=orders,
        customers=Customers(store, clock),
        payment_links=payment_links,
        payments=payments,
        refunds=refunds,
        settlements=settlements,
        transfers=transfers,
        linked_accounts=LinkedAccounts(store, clock, events),
        instant_settlements=InstantSettlements(store, clock, scheduler, settlements),
        downtimes=downtimes,
        disputes=Disputes(store, clock, scheduler, events),
        customer_simulator=CustomerSimulator(config, store, keyring, payments, payment_links),
    )
