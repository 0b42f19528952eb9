"""Things that happen to real shops, each played by one call."""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from kernapay.sandbox.bootstrap import Sandbox
from kernapay.sandbox.customer_simulator import SimulatedPayment
from kernapay.sandbox.entities import Fault, Order, Payment
from kernapay.sandbox.errors import ControlError
from kernapay.sandbox.fields import Fields
from kernapay.sandbox.ids import new_id

AMOUNT: Final = 50_000


class Player:
    """Play for the first account: on a new order, or on one that is there and not paid."""

    def __init__(self, sandbox: Sandbox, order_id: str | None) -> None:
        self.sandbox = sandbox
        self.owner = sandbox.config.first_key
        self._order_id = order_id

    def order(self) -> Order:
        """Return the order. Raise ControlError if it cannot be paid."""
        if self._order_id is None:
            body = {"amount": AMOUNT, "currency": "INR", "receipt": "scenario"}
            return self.sandbox.orders.create(self.owner, Fields(body))
        order = self.sandbox.store.orders.get(self._order_id)
        if order is None or order.status == "paid":
            raise ControlError("Name an order that exists and is not paid.", 409, "order_id")
        return order

    def arm(self, name: str, **options: float | str) -> None:
        self.sandbox.faults.arm(Fault(id=new_id("fault"), name=name, options=options))

    def pay(self, order: Order, method: str = "upi", outcome: str = "success") -> Payment:
        """Pay and return the payment, whatever became of it."""
        visit = SimulatedPayment(order_id=order.id, method=method, outcome=outcome)
        self.sandbox.customer_simulator.pay(visit)
        return self.sandbox.store.payments.find_by("order_id", order.id)[-1]


def customer_fee(player: Player) -> list[str]:
    order = player.order()
    player.arm("customer_fee")
    return [order.id, player.pay(order).id]


def offer(player: Player) -> list[str]:
    order = player.order()
    player.arm("offer", discount=max(1, order.amount // 10))
    return [order.id, player.pay(order).id]


def late_authorization(player: Player) -> list[str]:
    order = player.order()
    payment = player.pay(order, outcome="failure")
    player.sandbox.payments.authorize_late(payment)
    return [order.id, payment.id]


def paid_twice(player: Player) -> list[str]:
    order = player.order()
    first = player.pay(order, outcome="failure")
    second = player.pay(order)
    player.sandbox.payments.authorize_late(first)
    return [order.id, second.id, first.id]


def dispute_lost(player: Player) -> list[str]:
    order = player.order()
    payment = player.pay(order, method="card")
    dispute = player.sandbox.disputes.open(payment)
    player.sandbox.disputes.move(dispute, "under_review")
    player.sandbox.disputes.resolve(dispute, "lost")
    return [order.id, payment.id, dispute.id]


def dashboard_refund(player: Player) -> list[str]:
    order = player.order()
    payment = player.pay(order)
    fields = Fields({"amount": max(100, payment.amount // 2)})
    refund = player.sandbox.refunds.create(payment, fields, None)
    return [order.id, payment.id, refund.id]


def refund_fails(player: Player) -> list[str]:
    order = player.order()
    payment = player.pay(order)
    player.arm("refund_fails_later", seconds=5)
    refund = player.sandbox.refunds.create(payment, Fields({}), None)
    return [order.id, payment.id, refund.id]


def settlement_day(player: Player) -> list[str]:
    ids: list[str] = []
    for method in ("upi", "card", "netbanking"):
        order = player.order() if not ids else Player(player.sandbox, None).order()
        payment = player.pay(order, method=method)
        ids += [order.id, payment.id]
        if method == "card":
            refund = player.sandbox.refunds.create(payment, Fields({"amount": 10_000}), None)
            ids.append(refund.id)
    settlement = player.sandbox.settlements.settle(player.owner)
    return [*ids, settlement.id] if settlement else ids


def upi_outage(player: Player) -> list[str]:
    end = player.sandbox.clock.timestamp() + 60
    downtime = player.sandbox.downtimes.open("upi", {}, end=end, fails_payments=True)
    order = player.order()
    return [downtime.id, order.id, player.pay(order).id]


class Scenario(NamedTuple):
    says: str
    play: Callable[[Player], list[str]]


SCENARIOS: Final[Mapping[str, Scenario]] = {
    "customer_fee": Scenario(
        "The customer bears the fee: the payment is larger than its order.", customer_fee
    ),
    "offer": Scenario("An offer of 10 % applies: the payment is smaller than its order.", offer),
    "late_authorization": Scenario(
        "A payment fails, then its bank approves it after all.", late_authorization
    ),
    "paid_twice": Scenario(
        "A failed payment is approved after another has paid the order. Razorpay gives it back.",
        paid_twice,
    ),
    "dispute_lost": Scenario(
        "A payment by card is disputed, reviewed and lost. There is no refund.", dispute_lost
    ),
    "dashboard_refund": Scenario(
        "Somebody refunds half of a payment at the dashboard: nobody's program asked for it.",
        dashboard_refund,
    ),
    "refund_fails": Scenario("A refund is pending, and fails 5 seconds later.", refund_fails),
    "settlement_day": Scenario(
        "Three payments and a refund reach the bank account in one settlement.", settlement_day
    ),
    "upi_outage": Scenario("UPI is down for a minute. A payment fails meanwhile.", upi_outage),
}


def play(sandbox: Sandbox, name: str, order_id: str | None) -> dict[str, Any]:
    """Play the scenario and return the ids of what it made, in order. Raise ControlError if it cannot be played."""
    scenario = SCENARIOS.get(name)
    if scenario is None:
        known = ", ".join(SCENARIOS)
        raise ControlError(f"There is no scenario {name[:100]!r}. Known: {known}.", 404)
    return {"name": name, "says": scenario.says, "ids": scenario.play(Player(sandbox, order_id))}
