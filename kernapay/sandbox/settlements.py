"""Settlements to the business, and the reconciliation feed with the rows of each."""

import calendar
from datetime import datetime, timedelta, timezone

from kernapay.sandbox.clock import Clock
from kernapay.sandbox.config import SandboxConfig
from kernapay.sandbox.entities import Dispute, Payment, Refund, Settlement
from kernapay.sandbox.errors import bad_request
from kernapay.sandbox.events import EventPublisher
from kernapay.sandbox.fields import Fields, Page
from kernapay.sandbox.ids import new_id
from kernapay.sandbox.resources import Resource
from kernapay.sandbox.scheduler import Scheduler
from kernapay.sandbox.store import Store
from kernapay.sandbox.views import View, notes_view

# The days of Razorpay's feed are those of India.
INDIA = timezone(timedelta(hours=5, minutes=30))
Transaction = Payment | Refund | Dispute


class Settlements(Resource[Settlement]):
    def __init__(
        self,
        config: SandboxConfig,
        store: Store,
        clock: Clock,
        scheduler: Scheduler,
        events: EventPublisher,
    ) -> None:
        super().__init__("setl", store.settlements)
        self._config = config
        self._store = store
        self._clock = clock
        self._scheduler = scheduler
        self._events = events
        scheduler.register("settle", self._settle_all)

    def schedule_next(self) -> None:
        """Schedule the next settlement, unless one is scheduled already."""
        if all(timer.action != "settle" for timer in self._store.timers):
            self._scheduler.schedule(self._config.settle_after_hours * 3600, "settle", "all")

    def settle(self, owner: str) -> Settlement | None:
        """Pay out what is not settled yet. Return None if nothing is owed."""
        rows = [row for row in self._transactions(owner) if row.settlement_id is None]
        amount = sum(credit(row) - debit(row) for row in rows)
        if amount <= 0:
            return None
        now = self._clock.timestamp()
        payments = [row for row in rows if isinstance(row, Payment)]
        settlement = self._store.settlements.add(
            Settlement(
                id=new_id("setl"),
                owner=owner,
                amount=amount,
                fees=sum(row.fee or 0 for row in payments),
                tax=sum(row.tax or 0 for row in payments),
                utr=f"{now}{new_id('utr')[-6:]}",
                created_at=now,
            )
        )
        for row in rows:
            row.settlement_id = settlement.id
            if isinstance(row, Payment):
                self._store.payments.save(row)
            elif isinstance(row, Refund):
                self._store.refunds.save(row)
            else:
                self._store.disputes.save(row)
        self._events.publish_settlement("settlement.processed", settlement)
        return settlement

    def recon(self, owner: str, query: Fields) -> list[View]:
        """Return the rows settled in a month, or on one day of it."""
        year, month, day = (query.integer(name) for name in ("year", "month", "day"))
        page = Page.from_query(query, max_count=1000, default_count=1000)
        query.reject_unread()
        if year is None or not 2000 <= year <= 2100:
            raise bad_request("The year is not a valid year.", "year")
        if month is None or not 1 <= month <= 12:
            raise bad_request("The month is not a valid month.", "month")
        days_in_month = calendar.monthrange(year, month)[1]
        if day is not None and not 1 <= day <= days_in_month:
            raise bad_request("The day is not a valid day.", "day")
        first_day = datetime(year, month, day or 1, tzinfo=INDIA)
        start = first_day.timestamp()
        end = (first_day + timedelta(days=1 if day else days_in_month)).timestamp()
        rows = [
            self._recon_view(row, settlement)
            for row in self._transactions(owner)
            if row.settlement_id
            and (settlement := self._store.settlements.get(row.settlement_id))
            and start <= settlement.created_at < end
        ]
        return rows[page.skip : page.skip + page.count]

    def _settle_all(self, _: str) -> None:
        for owner in self._config.keys:
            self.settle(owner)
        self.schedule_next()

    def _transactions(self, owner: str) -> list[Transaction]:
        """Return what a settlement consists of, oldest first."""
        payments = (p for p in self._store.payments.find_by("owner", owner) if p.captured)
        refunds = (
            refund
            for refund in self._store.refunds.find_by("owner", owner)
            if refund.status == "processed" and self._payment(refund).captured
        )
        lost = (d for d in self._store.disputes.find_by("owner", owner) if d.amount_deducted)
        rows: list[Transaction] = [*payments, *refunds, *lost]
        return sorted(rows, key=lambda row: row.created_at)

    def _payment(self, row: Transaction) -> Payment:
        if isinstance(row, Payment):
            return row
        payment = self._store.payments.get(row.payment_id)
        if payment is None:
            raise LookupError(f"{row.id} belongs to an unknown payment")
        return payment

    def _recon_view(self, row: Transaction, settlement: Settlement) -> View:
        payment = self._payment(row)
        order = self._store.orders.get(payment.order_id) if payment.order_id else None
        types: dict[type[Transaction], str] = {Payment: "payment", Refund: "refund"}
        return {
            "entity_id": row.id,
            "type": types.get(type(row), "adjustment"),
            "debit": debit(row),
            "credit": credit(row),
            "amount": row.amount,
            "currency": row.currency,
            "fee": row.fee or 0 if isinstance(row, Payment) else 0,
            "tax": row.tax or 0 if isinstance(row, Payment) else 0,
            "on_hold": False,
            "settled": True,
            "created_at": row.created_at,
            "settled_at": settlement.created_at,
            "settlement_id": settlement.id,
            "posted_at": None,
            "credit_type": "default",
            "description": payment.description,
            "notes": None if isinstance(row, Dispute) else notes_view(row.notes),
            "payment_id": None if row is payment else payment.id,
            "settlement_utr": settlement.utr,
            "order_id": payment.order_id,
            "order_receipt": order.receipt if order else None,
            "method": payment.method,
            "card_network": payment.card and payment.card.network,
            "card_issuer": payment.card and payment.card.issuer,
            "card_type": payment.card and payment.card.type,
            "dispute_id": row.id if isinstance(row, Dispute) else None,
        }


def credit(row: Transaction) -> int:
    return row.amount - (row.fee or 0) if isinstance(row, Payment) else 0


def debit(row: Transaction) -> int:
    if isinstance(row, Dispute):
        return row.amount_deducted
    return row.amount if isinstance(row, Refund) else 0
