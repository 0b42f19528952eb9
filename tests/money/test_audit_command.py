"""`kernapay audit` says what it compared, what differs, and what it could not find out."""

from datetime import UTC, datetime

import pytest

from kernapay.core.clock import now
from tests.actors import Actor
from tests.money.books import DAY, age
from tests.money.shop import Shop


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--from", "2026-01-02", "--to", "2026-01-01"), "must end after its start"),
        (("--from", "2026-01-01", "--to", "2026-01-01"), "must end after its start"),
        (("--from", "2126-01-01"), "must end after its start"),
        (("--from", "2026-01-01", "--to", "2126-01-01"), "must not be in the future"),
        (("--to", "2126-01-01"), "must not be in the future"),
    ],
)
def test_a_window_without_an_answer_is_refused(
    options: tuple[str, ...], words: str, shop: Shop
) -> None:
    done = shop.kernapay("audit", *options)

    assert done.returncode == 2
    assert words in done.stderr
    assert "agree" not in done.stdout


def test_a_row_from_before_the_gateways_time_holds_up_nothing(shop: Shop, user: Actor) -> None:
    payment = user.new_payment()
    shop.sandbox.pay(payment["orderId"])
    shop.edit(payment, createdAt=datetime(1970, 1, 1, tzinfo=UTC))
    done = shop.kernapay("audit", "--from", "1969-12-31", "--to", "1970-01-02")
    assert done.returncode == 1, done.stderr
    assert f"status            {payment['referenceId']}" in done.stdout


def test_every_order_that_differs_is_told(shop: Shop, user: Actor) -> None:
    payments = [user.new_payment() for _ in range(3)]
    for payment in payments:
        shop.sandbox.pay(payment["orderId"])
    # The first differs in two ways, and cannot be read the second time.
    shop.edit(payments[0], amount=1)

    done = shop.kernapay("audit")

    assert done.returncode == 1, done.stderr
    for payment in payments:
        assert f"status            {payment['referenceId']}" in done.stdout
    assert f"amount            {payments[0]['referenceId']}" in done.stdout
    assert "4 difference(s)" in done.stdout


def test_progress_is_printed_without_a_terminal_too(shop: Shop, user: Actor) -> None:
    user.buy(shop.sandbox)
    done = shop.kernapay("audit")
    assert "gatewayOrders: 1 …" in done.stderr
    assert "payments: 1 …" in done.stderr


def test_orders_older_than_half_a_year_are_compared_all_the_same(shop: Shop, user: Actor) -> None:
    old, _ = user.buy(shop.sandbox)
    missed = user.new_payment()
    shop.sandbox.pay(missed["orderId"])
    for payment in (old, missed):
        age(shop, payment, 200 * DAY)

    done = shop.kernapay("audit")

    assert done.returncode == 1, done.stdout + done.stderr
    assert f"status            {missed['referenceId']}" in done.stdout
    assert "1 difference(s)" in done.stdout
    assert "could not be compared" not in done.stdout


def test_what_the_gateway_no_longer_answers_is_told_by_the_exit_code(
    shop: Shop, user: Actor
) -> None:
    old, _ = user.buy(shop.sandbox)
    age(shop, old, 200 * DAY)
    # Its receipt is not ours any more, so it can be found by nothing that the gateway answers.
    books = shop.sandbox.call("GET", "/_sandbox/snapshot")
    books["order"][0]["receipt"] = "of another system"
    shop.sandbox.call("PUT", "/_sandbox/snapshot", books)
    since = (now() - DAY).strftime("%Y-%m-%dT%H:%M:%SZ")
    shop.edit(old, updatedAt=now() - DAY / 2)

    done = shop.kernapay("audit", "--from", since)

    assert done.returncode == 3, done.stdout + done.stderr
    assert f"not compared      {old['referenceId']}: " in done.stdout
    assert "1 could not be compared." in done.stdout
    assert "agree" not in done.stdout


def test_a_list_that_is_refused_is_told_by_the_exit_code(shop: Shop, user: Actor) -> None:
    user.buy(shop.sandbox)
    shop.sandbox.fault("refused", times=None, route="/v1/refunds")
    for command in ("audit", "reconcile"):
        done = shop.kernapay(command)
        assert done.returncode == 3, done.stdout + done.stderr
        assert "not compared      the gateway's list of refunds: " in done.stdout


def test_nothing_is_told_twice_over_many_windows(shop: Shop, user: Actor) -> None:
    """Half a year is read month by month; an order that two of them touch is compared once."""
    payment, checkout = user.buy(shop.sandbox)
    age(shop, payment, 100 * DAY)
    shop.sandbox.refund(checkout["razorpay_payment_id"], 100)

    assert shop.differences() == [("refunds", "0", "100")]
