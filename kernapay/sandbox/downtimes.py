"""Outages of payment methods: shown by the API and by events. On request, payments fail by them."""

from collections.abc import Collection, Mapping
from typing import Final

from kernapay.sandbox.account_entities import Downtime
from kernapay.sandbox.clock import Clock
from kernapay.sandbox.entities import Failure
from kernapay.sandbox.errors import ControlError, check_choice, unknown_id
from kernapay.sandbox.events import EventPublisher
from kernapay.sandbox.ids import check_id, new_id
from kernapay.sandbox.instruments import FAILURES, Instrument
from kernapay.sandbox.scheduler import Scheduler
from kernapay.sandbox.store import Store

SEVERITIES: Final = ("high", "medium", "low")
# What may be down, by method.
INSTRUMENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "card": ("issuer", "network", "card_type"),
    "netbanking": ("bank",),
    "upi": ("vpa_handle", "psp", "flow"),
    "wallet": ("wallet",),
}


class Downtimes:
    def __init__(
        self,
        store: Store,
        clock: Clock,
        scheduler: Scheduler,
        events: EventPublisher,
        key_ids: Collection[str],
    ) -> None:
        self._store = store
        self._clock = clock
        self._scheduler = scheduler
        self._events = events
        self._key_ids = key_ids
        scheduler.register("downtime.start", self._start)
        scheduler.register("downtime.end", self._end)

    def open(
        self,
        method: str,
        instrument: dict[str, str],
        *,
        severity: str = "high",
        begin: int | None = None,
        end: int | None = None,
        fails_payments: bool = False,
    ) -> Downtime:
        """Begin an outage now, or at `begin` in Unix seconds. Raise ControlError if it cannot be so."""
        now = self._clock.timestamp()
        check_choice("method", method, INSTRUMENTS)
        check_choice("severity", severity, SEVERITIES)
        for name in instrument:
            check_choice("instrument", name, INSTRUMENTS[method])
        start = now if begin is None else begin
        if not 0 < start < 2**40 or (end is not None and not start < end < 2**40):
            raise ControlError("end must be later than begin.", field="end")
        is_scheduled = start > now
        downtime = Downtime(
            id=new_id("down"),
            method=method,
            instrument=instrument,
            begin=start,
            end=end,
            status="scheduled" if is_scheduled else "started",
            is_scheduled=is_scheduled,
            severity=severity,
            created_at=now,
            updated_at=now,
            fails_payments=fails_payments,
        )
        self._store.downtimes.add(downtime)
        if is_scheduled:
            self._scheduler.schedule(start - now, "downtime.start", downtime.id)
        else:
            self._publish("started", downtime)
        if end is not None:
            self._scheduler.schedule(max(0, end - now), "downtime.end", downtime.id)
        return downtime

    def update(self, downtime: Downtime, severity: str) -> Downtime:
        check_choice("severity", severity, SEVERITIES)
        self._require_open(downtime)
        downtime.severity, downtime.status = severity, "updated"
        self._save(downtime, "updated")
        return downtime

    def resolve(self, downtime: Downtime) -> Downtime:
        self._require_open(downtime)
        downtime.status, downtime.end = "resolved", self._clock.timestamp()
        self._save(downtime, "resolved")
        return downtime

    def get(self, downtime_id: str) -> Downtime:
        """Return the downtime. Raise RazorpayError if it does not exist."""
        check_id("down", downtime_id)
        downtime = self._store.downtimes.get(downtime_id)
        if downtime is None:
            raise unknown_id()
        return downtime

    def current(self) -> list[Downtime]:
        """Return those that are not over, newest first."""
        return [d for d in reversed(list(self._store.downtimes)) if d.status != "resolved"]

    def find_failure(self, instrument: Instrument) -> Failure | None:
        """Return how a payment fails now because of an outage. None if none stops it."""
        for downtime in self._store.downtimes:
            is_on = downtime.status in ("started", "updated") and downtime.fails_payments
            if is_on and concerns(downtime, instrument):
                return FAILURES["gateway_technical_error"]
        return None

    def _require_open(self, downtime: Downtime) -> None:
        if downtime.status not in ("started", "updated"):
            raise ControlError(f"The downtime is {downtime.status}.", 409)

    def _start(self, downtime_id: str) -> None:
        downtime = self._store.downtimes.get(downtime_id)
        if downtime is not None and downtime.status == "scheduled":
            downtime.status = "started"
            self._save(downtime, "started")

    def _end(self, downtime_id: str) -> None:
        downtime = self._store.downtimes.get(downtime_id)
        if downtime is not None and downtime.status in ("started", "updated"):
            self.resolve(downtime)

    def _save(self, downtime: Downtime, event: str) -> None:
        downtime.updated_at = self._clock.timestamp()
        self._store.downtimes.save(downtime)
        self._publish(event, downtime)

    def _publish(self, event: str, downtime: Downtime) -> None:
        for key_id in self._key_ids:
            self._events.publish_downtime(f"payment.downtime.{event}", downtime, key_id)


def concerns(downtime: Downtime, instrument: Instrument) -> bool:
    """Return whether the instrument is of the kind that is down. Nothing named: the whole method is."""
    card = instrument.card
    values = {
        "issuer": card.issuer if card else None,
        "network": card.network if card else None,
        "card_type": card.type if card else None,
        "bank": instrument.bank,
        "wallet": instrument.wallet,
        "vpa_handle": (instrument.vpa or "").partition("@")[2],
        # Checkout's window asks for the address: Razorpay calls this flow collect.
        "flow": "collect",
    }
    return downtime.method == instrument.method and all(
        str(values.get(name) or "").lower() == value.lower()
        for name, value in downtime.instrument.items()
    )
