"""Carry webhook deliveries to their endpoints, again and again until one is taken."""

import asyncio
import time
from collections import defaultdict, deque

from kernapay.sandbox.agenda import Agenda
from kernapay.sandbox.books import Books
from kernapay.sandbox.clock import Clock
from kernapay.sandbox.config import SandboxConfig
from kernapay.sandbox.entities import Attempt, Delivery, Endpoint, Message
from kernapay.sandbox.ids import new_id
from kernapay.sandbox.journal import Journal, JournalError
from kernapay.sandbox.postman import DeliveryError, Postman
from kernapay.sandbox.signing import sign

GIVE_UP_AFTER = 24 * 3600
LONGEST_PAUSE = 3600
AT_ONCE = 16
KEPT_ATTEMPTS = 20


class Dispatcher:
    """At least once, within five seconds each, with growing pauses for 24 hours, then no more.

    Events about one order go to an endpoint one after the other; different orders do not wait
    for each other.
    """

    def __init__(
        self, config: SandboxConfig, books: Books, journal: Journal, clock: Clock, agenda: Agenda
    ) -> None:
        self._config = config
        self._books = books
        self._journal = journal
        self._clock = clock
        self._agenda = agenda
        self._lanes: dict[tuple[str, str], deque[str]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots: dict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(AT_ONCE))
        self._finished: deque[str] = deque()
        self._postman = Postman()
        agenda.actions["deliver"] = self.enqueue

    def load(self) -> None:
        """Take up the deliveries that a former life left undone."""
        self._finished.clear()
        for delivery in self._books.deliveries:
            if delivery.status == "pending":
                self._agenda.at(delivery.next_at or self._clock.now(), "deliver", delivery.id)
            else:
                self._finished.append(delivery.id)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._postman.close()

    def enqueue(self, delivery_id: str) -> None:
        delivery = self._books.deliveries.get(delivery_id)
        if delivery is None or not self._is_due(delivery):
            return
        key = (delivery.endpoint_id, delivery.subject)
        lane = self._lanes.get(key)
        if lane is not None:
            lane.append(delivery_id)
            return
        self._lanes[key] = deque([delivery_id])
        task = asyncio.get_running_loop().create_task(self._drain(key))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def resend(self, delivery: Delivery) -> None:
        """Try once more now, whatever became of it before."""
        delivery.status = "pending"
        delivery.by_hand = True
        delivery.next_at = self._clock.now()
        self._books.deliveries.changed(delivery)
        self.enqueue(delivery.id)

    def note_finished(self, delivery: Delivery) -> None:
        """Keep the log to its length; what is still to be delivered is never dropped."""
        self._finished.append(delivery.id)
        while len(self._finished) > self._config.delivery_log:
            oldest = self._books.deliveries.get(self._finished.popleft())
            if oldest is not None and oldest.status != "pending":
                self._books.deliveries.remove(oldest.id)

    async def _drain(self, key: tuple[str, str]) -> None:
        lane = self._lanes[key]
        try:
            while lane:
                async with self._slots[key[0]]:
                    await self._deliver(lane.popleft())
        finally:
            del self._lanes[key]

    async def _deliver(self, delivery_id: str) -> None:
        delivery = self._books.deliveries.get(delivery_id)
        if delivery is None or not self._is_due(delivery):
            return
        endpoint = self._books.endpoints.get(delivery.endpoint_id)
        if endpoint is None or not endpoint.active:
            self._finish(delivery, "failed")
            return
        # An event nobody can have heard of after a crash must not be heard of before it.
        try:
            await self._journal.durable()
        except JournalError:
            self._agenda.at(
                self._clock.now() + self._config.webhook_backoff, "deliver", delivery.id
            )
            return
        attempt = await self._post(delivery)
        if self._books.deliveries.get(delivery_id) is not delivery:
            return  # the sandbox was reset while the endpoint was thinking
        delivery.tries += 1
        delivery.attempts = [*delivery.attempts, attempt][-KEPT_ATTEMPTS:]
        if attempt.status is not None and 200 <= attempt.status < 300:
            self._finish(delivery, "delivered")
        else:
            self._try_later(delivery, endpoint)

    def _is_due(self, delivery: Delivery) -> bool:
        return delivery.status == "pending" and (delivery.next_at or 0) <= self._clock.now()

    def _try_later(self, delivery: Delivery, endpoint: Endpoint) -> None:
        growth = 2 ** min(delivery.tries - 1, 20)
        now = self._clock.now()
        next_at = now + min(self._config.webhook_backoff * growth, LONGEST_PAUSE)
        if next_at <= delivery.created_at + GIVE_UP_AFTER:
            delivery.next_at = next_at
            self._books.deliveries.changed(delivery)
            self._agenda.at(next_at, "deliver", delivery.id)
            return
        self._finish(delivery, "failed")
        # That an old event still is not taken says nothing about the endpoint's last 24 hours.
        if endpoint.active and not delivery.by_hand:
            self._disable(endpoint)

    def _disable(self, endpoint: Endpoint) -> None:
        endpoint.active = False
        endpoint.disabled_reason = "No delivery succeeded for 24 hours."
        self._books.endpoints.changed(endpoint)
        self._books.messages.add(
            Message(
                id=new_id("msg"),
                channel="email",
                to="webhook-alerts@sandbox.invalid",
                subject="Webhook disabled",
                text=f"{endpoint.url} has not answered with 2xx for 24 hours and is now disabled.",
                at=self._clock.stamp(),
            )
        )

    def _finish(self, delivery: Delivery, status: str) -> None:
        delivery.status = status
        delivery.next_at = None
        self._books.deliveries.changed(delivery)
        self.note_finished(delivery)

    async def _post(self, delivery: Delivery) -> Attempt:
        body = delivery.body.encode()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Razorpay-Webhook/v1",
            "X-Razorpay-Signature": sign(delivery.secret, body),
            "X-Razorpay-Event-Id": delivery.event_id,
        }
        attempt = Attempt(at=self._clock.stamp(), milliseconds=0, request_headers=headers)
        started = time.perf_counter()
        try:
            async with asyncio.timeout(self._config.webhook_timeout):
                answer = await self._postman.post(delivery.url, body, headers)
        except TimeoutError:
            attempt.error = f"no answer within {self._config.webhook_timeout:g} s"
        except DeliveryError as problem:
            attempt.error = str(problem)
        else:
            attempt.status = answer.status
            attempt.response_headers = answer.headers
            attempt.response_body = answer.body
        attempt.milliseconds = round((time.perf_counter() - started) * 1000)
        return attempt
