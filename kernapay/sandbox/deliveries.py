"""Deliver webhook events to their endpoints, with retries."""

import asyncio
import time
from collections import defaultdict, deque

from kernapay.sandbox.clock import Clock
from kernapay.sandbox.config import SandboxConfig
from kernapay.sandbox.database import Database, DatabaseError
from kernapay.sandbox.entities import Attempt, Delivery, Endpoint, Message
from kernapay.sandbox.ids import new_id
from kernapay.sandbox.scheduler import Scheduler
from kernapay.sandbox.signing import sign
from kernapay.sandbox.store import Store
from kernapay.sandbox.webhook_sender import SendError, WebhookSender

# Razorpay: retries with exponential back-off for 24 hours after the event, then disables the webhook.
GIVE_UP_SECONDS = 24 * 3600
# Ours, since Razorpay does not publish its steps.
MAX_RETRY_DELAY = 3600
MAX_CONCURRENT_PER_ENDPOINT = 16
# A delivery makes about 35 attempts in 24 hours. The log keeps the newest.
MAX_ATTEMPTS_LOGGED = 20


class DeliveryQueue:
    """Deliver each event at least once.

    An endpoint gets the events of one subject one after another. Subjects do not wait for each other.
    """

    def __init__(
        self,
        config: SandboxConfig,
        store: Store,
        database: Database,
        clock: Clock,
        scheduler: Scheduler,
    ) -> None:
        self._config = config
        self._store = store
        self._database = database
        self._clock = clock
        self._scheduler = scheduler
        # By endpoint and subject, the ids of deliveries to make.
        self._queues: dict[tuple[str, str], deque[str]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._semaphores: dict[str, asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(MAX_CONCURRENT_PER_ENDPOINT)
        )
        self._log: deque[str] = deque()
        self._sender = WebhookSender()
        scheduler.register("deliver", self.enqueue)

    def load(self) -> None:
        """Schedule the deliveries that are pending in the store."""
        self._log.clear()
        for delivery in self._store.deliveries:
            if delivery.status == "pending":
                next_at = delivery.next_at or self._clock.now()
                self._scheduler.schedule_unsaved(next_at, "deliver", delivery.id)
            else:
                self._log.append(delivery.id)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._sender.close()

    def enqueue(self, delivery_id: str) -> None:
        delivery = self._store.deliveries.get(delivery_id)
        if delivery is None or not self._is_due(delivery):
            return
        key = (delivery.endpoint_id, delivery.subject)
        queue = self._queues.get(key)
        if queue is not None:
            queue.append(delivery_id)
            return
        self._queues[key] = deque([delivery_id])
        task = asyncio.get_running_loop().create_task(self._drain(key))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def resend(self, delivery: Delivery) -> None:
        """Deliver once more now, whatever the delivery's status."""
        delivery.status = "pending"
        delivery.by_hand = True
        delivery.next_at = self._clock.now()
        self._store.deliveries.save(delivery)
        self.enqueue(delivery.id)

    def log_end(self, delivery: Delivery) -> None:
        """Add an ended delivery to the log and remove the oldest if the log is full."""
        self._log.append(delivery.id)
        while len(self._log) > self._config.delivery_log:
            oldest = self._store.deliveries.get(self._log.popleft())
            # A resent delivery is pending again and must not be lost.
            if oldest is not None and oldest.status != "pending":
                self._store.deliveries.remove(oldest.id)

    async def _drain(self, key: tuple[str, str]) -> None:
        queue = self._queues[key]
        endpoint_id, _ = key
        try:
            while queue:
                async with self._semaphores[endpoint_id]:
                    await self._deliver(queue.popleft())
        finally:
            del self._queues[key]

    async def _deliver(self, delivery_id: str) -> None:
        delivery = self._store.deliveries.get(delivery_id)
        if delivery is None or not self._is_due(delivery):
            return
        endpoint = self._store.endpoints.get(delivery.endpoint_id)
        if endpoint is None or not endpoint.active:
            self._end(delivery, "failed")
            return
        # Deliver an event only after it is on disk: a crash must not undo what a client has already seen.
        try:
            await self._database.flush()
        except DatabaseError:
            retry_at = self._clock.now() + self._config.webhook_backoff
            self._scheduler.schedule_unsaved(retry_at, "deliver", delivery.id)
            return
        attempt = await self._send(delivery)
        # A reset or a restored snapshot may have replaced the row in the meantime.
        if self._store.deliveries.get(delivery_id) is not delivery:
            return
        delivery.tries += 1
        delivery.attempts = [*delivery.attempts, attempt][-MAX_ATTEMPTS_LOGGED:]
        if attempt.status is not None and 200 <= attempt.status < 300:
            self._end(delivery, "delivered")
        else:
            self._retry_later(delivery, endpoint)

    def _is_due(self, delivery: Delivery) -> bool:
        return delivery.status == "pending" and (delivery.next_at or 0) <= self._clock.now()

    def _retry_later(self, delivery: Delivery, endpoint: Endpoint) -> None:
        growth = 2 ** min(delivery.tries - 1, 20)
        delay = min(self._config.webhook_backoff * growth, MAX_RETRY_DELAY)
        next_at = self._clock.now() + delay
        if next_at <= delivery.created_at + GIVE_UP_SECONDS:
            delivery.next_at = next_at
            self._store.deliveries.save(delivery)
            self._scheduler.schedule_unsaved(next_at, "deliver", delivery.id)
            return
        self._end(delivery, "failed")
        # An old event, resent by hand, says nothing about the endpoint's last 24 hours.
        if endpoint.active and not delivery.by_hand:
            self._disable(endpoint)

    def _disable(self, endpoint: Endpoint) -> None:
        endpoint.active = False
        endpoint.disabled_at = self._clock.timestamp()
        endpoint.disabled_reason = "No delivery succeeded for 24 hours."
        self._store.endpoints.save(endpoint)
        self._store.messages.add(
            Message(
                id=new_id("msg"),
                channel="email",
                to=endpoint.alert_email or "webhook-alerts@sandbox.invalid",
                subject="Webhook disabled",
                text=f"{endpoint.url} has not answered with 2xx for 24 hours and is now disabled.",
                at=self._clock.timestamp(),
            )
        )

    def _end(self, delivery: Delivery, status: str) -> None:
        delivery.status = status
        delivery.next_at = None
        self._store.deliveries.save(delivery)
        self.log_end(delivery)

    async def _send(self, delivery: Delivery) -> Attempt:
        body = delivery.body.encode()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Razorpay-Webhook/v1",
            "X-Razorpay-Event-Id": delivery.event_id,
        }
        # Razorpay: the secret is optional. That there is no signature then is not written anywhere.
        if delivery.secret:
            headers["X-Razorpay-Signature"] = sign(delivery.secret, body)
        attempt = Attempt(at=self._clock.timestamp(), milliseconds=0, request_headers=headers)
        start = time.perf_counter()
        try:
            async with asyncio.timeout(self._config.webhook_timeout):
                response = await self._sender.post(delivery.url, body, headers)
        except TimeoutError:
            attempt.error = f"no answer within {self._config.webhook_timeout:g} s"
        except SendError as error:
            attempt.error = str(error)
        else:
            attempt.status = response.status
            attempt.response_headers = response.headers
            attempt.response_body = response.body
        attempt.milliseconds = round((time.perf_counter() - start) * 1000)
        return attempt
