"""Turn what happened into webhook events, one delivery for each endpoint that wants them."""

from typing import Final

import msgspec

from kernapay.sandbox.agenda import Agenda
from kernapay.sandbox.books import Books
from kernapay.sandbox.clock import Clock
from kernapay.sandbox.dispatcher import Dispatcher
from kernapay.sandbox.entities import (
    Delivery,
    Dispute,
    Endpoint,
    Order,
    Payment,
    Refund,
    Settlement,
)
from kernapay.sandbox.faults import Faults
from kernapay.sandbox.ids import derived_id, new_id
from kernapay.sandbox.views import (
    View,
    dispute_view,
    order_view,
    payment_view,
    refund_view,
    settlement_view,
)

EVENTS: Final = (
    "payment.authorized",
    "payment.captured",
    "payment.failed",
    "order.paid",
    "refund.created",
    "refund.processed",
    "refund.failed",
    "refund.speed_changed",
    "payment.dispute.created",
    "payment.dispute.under_review",
    "payment.dispute.won",
    "payment.dispute.lost",
    "payment.dispute.closed",
    "settlement.processed",
)


class Announcer:
    def __init__(
        self, books: Books, clock: Clock, agenda: Agenda, faults: Faults, dispatcher: Dispatcher
    ) -> None:
        self._books = books
        self._clock = clock
        self._agenda = agenda
        self._faults = faults
        self._dispatcher = dispatcher
        self._held: dict[str, str] = {}
        agenda.actions["release"] = self._release

    def payment(self, event: str, payment: Payment) -> None:
        self._announce(event, payment, payment.order_id, {"payment": self._payment(payment)})

    def order(self, event: str, order: Order, payment: Payment) -> None:
        payload = {"payment": self._payment(payment), "order": order_view(order)}
        self._announce(event, order, order.id, payload)

    def refund(self, event: str, refund: Refund, payment: Payment) -> None:
        payload = {"refund": refund_view(refund), "payment": self._payment(payment)}
        self._announce(event, refund, payment.order_id or payment.id, payload)

    def dispute(self, event: str, dispute: Dispute, payment: Payment) -> None:
        payload = {"payment": self._payment(payment), "dispute": dispute_view(dispute)}
        self._announce(event, dispute, payment.order_id or payment.id, payload)

    def settlement(self, event: str, settlement: Settlement) -> None:
        payload = {"settlement": settlement_view(settlement)}
        self._announce(event, settlement, settlement.id, payload)

    @staticmethod
    def _payment(payment: Payment) -> View:
        return payment_view(payment, with_card=True)

    def _announce(
        self,
        event: str,
        row: Payment | Order | Refund | Dispute | Settlement,
        subject: str | None,
        payload: dict[str, View],
    ) -> None:
        wanted = [
            endpoint
            for endpoint in self._books.endpoints.by("owner", row.owner)
            if endpoint.active and (not endpoint.events or event in endpoint.events)
        ]
        if not wanted:
            return
        envelope = {
            "entity": "event",
            "account_id": derived_id("acc", row.owner),
            "event": event,
            "contains": list(payload),
            "payload": {name: {"entity": view} for name, view in payload.items()},
            "created_at": self._clock.stamp(),
        }
        body = msgspec.json.encode(envelope).decode()
        event_id = new_id("evt")
        for endpoint in wanted:
            delivery = Delivery(
                id=new_id("dlv"),
                endpoint_id=endpoint.id,
                event_id=event_id,
                event=event,
                subject=subject or row.id,
                url=endpoint.url,
                secret=endpoint.secret,
                body=body,
                created_at=self._clock.now(),
            )
            self._send(delivery, endpoint)

    def _send(self, delivery: Delivery, endpoint: Endpoint) -> None:
        def struck(name: str) -> "dict[str, float | str] | None":
            fault = self._faults.take(name, route=delivery.event)
            return fault.options if fault else None

        if (old := struck("webhook_old_secret")) is not None:
            delivery.secret = (
                str(old["secret"]) or endpoint.previous_secret or f"{endpoint.secret}_before"
            )
        if struck("webhook_drop") is not None:
            delivery.status = "dropped"
            self._books.deliveries.add(delivery)
            self._dispatcher.note_finished(delivery)
            return
        now = delivery.created_at
        later = struck("webhook_delay")
        delivery.next_at = now + float(later["seconds"]) if later else now
        held_back = None if later else struck("webhook_reorder")
        if held_back:
            delivery.next_at = now + float(held_back["seconds"])
        copies = [delivery]
        if struck("webhook_duplicate") is not None:
            copies.append(msgspec.structs.replace(delivery, id=new_id("dlv")))
        for copy in copies:
            self._books.deliveries.add(copy)
            if later or held_back:
                self._agenda.at(copy.next_at or now, "release", copy.id)
            else:
                self._dispatcher.enqueue(copy.id)
        if held_back:
            self._held[endpoint.id] = delivery.id
        elif not later and (overtaken := self._held.pop(endpoint.id, None)):
            self._release(overtaken)

    def _release(self, delivery_id: str) -> None:
        for endpoint_id, held in list(self._held.items()):
            if held == delivery_id:
                del self._held[endpoint_id]
        delivery = self._books.deliveries.get(delivery_id)
        if delivery is not None and delivery.tries == 0:
            delivery.next_at = min(delivery.next_at or 0, self._clock.now())
        self._dispatcher.enqueue(delivery_id)
