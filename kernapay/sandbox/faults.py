"""Misfortunes on order: which there are, which are armed, and whether one strikes now."""

import random
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Final, NamedTuple

from kernapay.sandbox.books import Books
from kernapay.sandbox.entities import Fault
from kernapay.sandbox.errors import ControlError


class Kind(NamedTuple):
    strikes: str
    says: str
    options: Mapping[str, float | str] = {}


CATALOGUE: Final[Mapping[str, Kind]] = {
    "answer_lost": Kind(
        "answer", "The work is done, then the connection is cut without an answer.", {"seconds": 0}
    ),
    "delay": Kind("answer", "The work is done at once, the answer comes late.", {"seconds": 2}),
    "reset": Kind("answer", "The connection is reset before any work is done."),
    "rate_limit": Kind("answer", "429 before any work is done."),
    "server_error": Kind("answer", "500 SERVER_ERROR before any work is done."),
    "bad_gateway_html": Kind("answer", "502 with an HTML page before any work is done."),
    "wrong_amount": Kind("answer", "The answer names another amount.", {"by": 100}),
    "webhook_duplicate": Kind("webhook", "The event is delivered twice under one event id."),
    "webhook_reorder": Kind(
        "webhook", "The event comes after the one that follows it.", {"seconds": 5}
    ),
    "webhook_delay": Kind("webhook", "The first delivery is made later.", {"seconds": 30}),
    "webhook_drop": Kind("webhook", "The event is never delivered, unless resent by hand."),
    "webhook_old_secret": Kind(
        "webhook",
        "The event is signed with the secret before the last change, or with `secret`.",
        {"secret": ""},
    ),
    "late_authorization": Kind(
        "payment", "A payment that failed is authorised after all.", {"seconds": 60}
    ),
    "auto_refund": Kind(
        "payment", "An authorised payment stays uncaptured and is refunded.", {"seconds": 60}
    ),
    "dispute": Kind("payment", "A captured payment is disputed.", {"seconds": 1}),
    "refund_pending": Kind("refund", "The refund is pending, later processed.", {"seconds": 60}),
    "refund_fails_later": Kind("refund", "The refund is accepted, later fails.", {"seconds": 60}),
    "refund_in_progress": Kind(
        "refund", "409: another request with the same idempotency key is still in progress."
    ),
    "low_balance": Kind("refund", "The refund is refused: not enough balance."),
}


class Faults:
    def __init__(self, books: Books) -> None:
        self._books = books

    def arm(self, fault: Fault) -> Fault:
        """Add a fault; raise ControlError for a name, number or option that makes no sense."""
        kind = CATALOGUE.get(fault.name)
        if kind is None:
            raise ControlError(
                f"There is no fault {fault.name[:100]!r}. Known: {', '.join(CATALOGUE)}.",
                field="name",
            )
        if fault.times is not None and not 1 <= fault.times <= 10**9:
            raise ControlError("times must be 1 or more, or null for no limit.", field="times")
        if not 0 < fault.probability <= 1:
            raise ControlError(
                "probability must be more than 0 and at most 1.", field="probability"
            )
        for name, value in fault.options.items():
            if name not in kind.options:
                known = ", ".join(kind.options) or "none"
                raise ControlError(
                    f"{fault.name} has no option {name[:100]!r}. Known: {known}.", field="options"
                )
            if isinstance(value, str) != isinstance(kind.options[name], str):
                raise ControlError(f"option {name} has the wrong type.", field="options")
            if name == "seconds" and not 0 <= float(value) <= 31_536_000:
                raise ControlError("seconds must be from 0 to 31536000.", field="options")
            if name == "by" and (float(value) != int(value) or not value):
                raise ControlError("by must be a whole number other than 0.", field="options")
        fault.options = {**kind.options, **fault.options}
        return self._books.faults.add(fault)

    def take(self, name: str, *, method: str = "", route: str = "") -> Fault | None:
        """Return the fault of this name if one strikes here and now, and count it."""
        return next((f for f in self.strike((name,), method=method, route=route)), None)

    def strike(
        self, names: tuple[str, ...], *, method: str = "", route: str = "", anywhere: bool = True
    ) -> list[Fault]:
        """Return the faults that strike, of each name the oldest one.

        With `anywhere` false, a fault strikes only if it was armed for a route by name.
        """
        struck: list[Fault] = []
        for fault in list(self._books.faults):
            if fault.name not in names or not (anywhere or fault.route):
                continue
            if any(other.name == fault.name for other in struck):
                continue
            if fault.method and fault.method.upper() != method:
                continue
            if fault.route and not fnmatchcase(route, fault.route):
                continue
            if self._hits(fault):
                struck.append(fault)
        return struck

    def _hits(self, fault: Fault) -> bool:
        fault.draws += 1
        # Drawn from the seed and the number of the draw: the same seed strikes the same calls.
        drawn = random.Random(f"{fault.seed or fault.id}:{fault.draws}").random()  # noqa: S311
        hit = drawn < fault.probability
        if hit:
            fault.hits += 1
            if fault.times is not None:
                fault.times -= 1
        if fault.times == 0:
            self._books.faults.remove(fault.id)
        else:
            self._books.faults.changed(fault)
        return hit
