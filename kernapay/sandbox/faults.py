"""Faults: which exist, which are armed, and which apply to a call or an event."""

import random
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Final, NamedTuple

from kernapay.sandbox.entities import Fault
from kernapay.sandbox.errors import ControlError
from kernapay.sandbox.store import Store

MAX_SECONDS = 365 * 86_400


class FaultKind(NamedTuple):
    """`options` has the default of each option."""

    target: str
    description: str
    options: Mapping[str, float | str] = {}


CATALOGUE: Final[Mapping[str, FaultKind]] = {
    "answer_lost": FaultKind(
        "answer", "The call is carried out, then the connection is reset.", {"seconds": 0}
    ),
    "delay": FaultKind(
        "answer", "The call is carried out at once, its response comes late.", {"seconds": 2}
    ),
    "reset": FaultKind("answer", "The connection is reset. Nothing is carried out."),
    "rate_limit": FaultKind("answer", "The response is 429. Nothing is carried out."),
    "server_error": FaultKind(
        "answer", "The response is 500 SERVER_ERROR. Nothing is carried out."
    ),
    "bad_gateway_html": FaultKind(
        "answer", "The response is 502 with an HTML page. Nothing is carried out."
    ),
    "proxy_page": FaultKind(
        "answer",
        "A proxy answers with this status and a page of HTML, or with a redirect. With `carried_out` 1 the call was "
        "carried out before.",
        {"status": 404, "carried_out": 0},
    ),
    "refusal": FaultKind(
        "answer",
        "The response is this error envelope. With `carried_out` 1 the call was carried out before.",
        {
            "status": 400,
            "code": "BAD_REQUEST_ERROR",
            "description": "The payment has been fully refunded already",
            "reason": "NA",
            "carried_out": 0,
        },
    ),
    "drip": FaultKind(
        "answer",
        "The call is carried out, its response comes byte by byte, `seconds` apart.",
        {"seconds": 0.5},
    ),
    "cut_body": FaultKind(
        "answer", "The call is carried out, the connection is reset in the middle of its response."
    ),
    "wrong_status": FaultKind(
        "answer",
        "The response has another status, and is not captured.",
        {"value": "authorized"},
    ),
    "wrong_amount": FaultKind("answer", "The response has another amount.", {"by": 100}),
    "odd_entity": FaultKind(
        "answer", "The amount of the entity, or of a list's first one, is no number."
    ),
    "refused": FaultKind(
        "answer", "The response is 400 BAD_REQUEST_ERROR. Nothing is carried out."
    ),
    "webhook_duplicate": FaultKind(
        "webhook", "The event is delivered twice with the same event id."
    ),
    "webhook_reorder": FaultKind(
        "webhook",
        "The event is delivered after the one that follows it, or after `seconds`.",
        {"seconds": 5},
    ),
    "webhook_delay": FaultKind(
        "webhook", "The event is first delivered after `seconds`.", {"seconds": 30}
    ),
    "webhook_drop": FaultKind("webhook", "The event is not delivered until resent by hand."),
    "webhook_old_secret": FaultKind(
        "webhook",
        "The event is signed with the webhook's previous secret, or with `secret`.",
        {"secret": ""},
    ),
    "webhook_odd_values": FaultKind(
        "webhook",
        "The event's flags are text, its times null, its amounts have a decimal point, its texts half an emoji.",
    ),
    "late_authorization": FaultKind(
        "payment", "A failed payment is authorised after `seconds`.", {"seconds": 60}
    ),
    "auto_refund": FaultKind(
        "payment",
        "An authorised payment is not captured and is refunded after `seconds`.",
        {"seconds": 60},
    ),
    "customer_fee": FaultKind(
        "payment",
        "The customer bears the fee: an attempt is larger than its order. `order_amount_paid` says what "
        "the order tells as paid: `order` its own amount, `payment` all that was paid.",
        {"order_amount_paid": "order"},
    ),
    "offer": FaultKind(
        "payment",
        "An offer applies: an attempt is smaller than its order, by `discount` minor units.",
        {"discount": 1000, "order_amount_paid": "order"},
    ),
    "paid_twice": FaultKind(
        "payment", "A payment of an order that is paid is captured too, and not returned."
    ),
    "dispute": FaultKind(
        "payment", "A captured payment is disputed after `seconds`.", {"seconds": 1}
    ),
    "refund_pending": FaultKind(
        "refund", "The refund is pending, and processed after `seconds`.", {"seconds": 60}
    ),
    "refund_fails_later": FaultKind(
        "refund", "The refund is pending, and fails after `seconds`.", {"seconds": 60}
    ),
    "refund_in_progress": FaultKind(
        "refund", "409: another request with the same idempotency key is still in progress."
    ),
    "low_balance": FaultKind("refund", "The refund is refused: the balance is too low."),
}


class Faults:
    def __init__(self, store: Store) -> None:
        self._store = store

    def arm(self, fault: Fault) -> Fault:
        """Add a fault with the defaults of its options. Raise ControlError if it is invalid."""
        kind = CATALOGUE.get(fault.name)
        if kind is None:
            raise ControlError(
                f"There is no fault {fault.name[:100]!r}. Known: {', '.join(CATALOGUE)}.",
                field="name",
            )
        if fault.times is not None and not 1 <= fault.times <= 10**9:
            raise ControlError(
                "times must be from 1 to 1000000000, or null for no limit.", field="times"
            )
        if not 0 < fault.probability <= 1:
            raise ControlError(
                "probability must be more than 0 and at most 1.", field="probability"
            )
        for name, value in fault.options.items():
            check_option(fault.name, kind, name, value)
        fault.options = {**kind.options, **fault.options}
        return self._store.faults.add(fault)

    def take(self, name: str, *, method: str = "", route: str = "") -> Fault | None:
        """Return the fault of this name if one applies now, and count it."""
        return next(iter(self.take_all((name,), method=method, route=route)), None)

    def take_all(
        self,
        names: tuple[str, ...],
        *,
        method: str = "",
        route: str = "",
        include_unrouted: bool = True,
    ) -> list[Fault]:
        """Return the faults that apply now, at most one of each name, and count them.

        A fault without a route applies everywhere, or nowhere unless `include_unrouted`.
        """
        taken: list[Fault] = []
        for fault in list(self._store.faults):
            if fault.name not in names or not (include_unrouted or fault.route):
                continue
            if any(other.name == fault.name for other in taken):
                continue
            if fault.method and fault.method.upper() != method:
                continue
            if fault.route and not fnmatchcase(route, fault.route):
                continue
            if self._draw(fault):
                taken.append(fault)
        return taken

    def _draw(self, fault: Fault) -> bool:
        """Draw whether the fault applies, and count the draw."""
        fault.draws += 1
        # Seeded with the number of the draw, so that the same seed hits the same calls every time.
        draw = random.Random(f"{fault.seed or fault.id}:{fault.draws}").random()  # noqa: S311
        is_hit = draw < fault.probability
        if is_hit:
            fault.hits += 1
            if fault.times is not None:
                fault.times -= 1
        if fault.times == 0:
            self._store.faults.remove(fault.id)
        else:
            self._store.faults.save(fault)
        return is_hit


def check_option(fault_name: str, kind: FaultKind, name: str, value: float | str) -> None:
    """Raise ControlError unless the kind of fault has this option and can have this value."""
    if name not in kind.options:
        known = ", ".join(kind.options) or "none"
        raise ControlError(
            f"{fault_name} has no option {name[:100]!r}. Known: {known}.", field="options"
        )
    if isinstance(value, str) != isinstance(kind.options[name], str):
        expected = "a string" if isinstance(kind.options[name], str) else "a number"
        raise ControlError(f"Option {name} must be {expected}.", field="options")
    if name == "seconds" and not 0 <= float(value) <= MAX_SECONDS:
        raise ControlError(f"seconds must be from 0 to {MAX_SECONDS}.", field="options")
    if name == "order_amount_paid" and value not in ("order", "payment"):
        raise ControlError("order_amount_paid must be order or payment.", field="options")
    if name == "discount" and (float(value) != int(value) or float(value) < 1):
        raise ControlError("discount must be a whole number from 1.", field="options")
    if name == "status" and float(value) not in range(200, 600):
        raise ControlError("status must be from 200 to 599.", field="options")
    if name == "by" and (float(value) != int(value) or not value):
        raise ControlError("by must be a whole number other than 0.", field="options")
