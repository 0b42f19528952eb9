"""Two installations of KernaPay with one account of the gateway: each knows its own orders."""

import httpx
import pytest

from tests.actors import Actor, People, assert_problem, send_event, status
from tests.aliases import Store
from tests.databases import row_of
from tests.factories import gateway_payment, payment_body, unique
from tests.money.shop import Shop
from tests.stack import StartApi


def test_an_order_has_the_prefix_of_its_installation(
    shop: Shop, user: Actor, start_api: StartApi
) -> None:
    second = user.at(start_api(RECEIPT_PREFIX="SHOP2").client)
    body = payment_body()

    created = second.create(body).json()["data"]

    row = shop.row(created)
    assert row["receipt"] == f"SHOP2_{row['_id']}"
    (order,) = shop.sandbox.orders(row["receipt"])
    assert order["id"] == created["orderId"]
    # The receipt is the row's own, so a change of the setting leaves what was created before it.
    assert user.create(body).json()["data"] == created
    shop.sandbox.pay(created["orderId"])
    shop.settle_later()
    shop.assert_sound(created)


def test_a_row_from_before_the_setting_keeps_its_receipt(shop: Shop, user: Actor) -> None:
    payment = user.new_payment()
    row = shop.row(payment)
    assert row["receipt"] == f"KP_{row['_id']}"
    shop.store.payments.update_one(
        {"_id": row["_id"]}, {"$unset": {"receipt": "", "orderId": "", "razorpayOrderId": ""}}
    )
    shop.sandbox.pay(payment["orderId"])

    shop.settle_later()

    assert shop.row(payment)["razorpayOrderId"] == payment["orderId"]
    assert shop.row(payment)["status"] == "success"


@pytest.mark.parametrize("prefix", ["SHOP2", "K"])
def test_an_order_of_another_installation_is_set_aside_at_once(
    api: httpx.Client, shop: Shop, store: Store, prefix: str
) -> None:
    foreign = shop.sandbox.order(receipt=f"{prefix}_{unique()[:12]}{'0' * 12}")
    event_id = unique("evt_")

    send_event(api, "payment.captured", event_id=event_id, payment=gateway_payment(foreign["id"]))

    row = row_of(store.webhook_events, eventId=event_id)
    assert (row["status"], row["attempts"]) == ("ignored", 0)
    assert shop.differences() == []


def test_an_order_that_only_names_our_payment_is_not_its_order(
    api: httpx.Client, shop: Shop, user: Actor
) -> None:
    """Another installation may be a copy of this one: the same ids, with another prefix."""
    payment = user.new_payment()
    foreign = shop.sandbox.order(receipt=f"COPY_{shop.row(payment)['_id']}")
    shop.sandbox.pay(foreign["id"])

    send_event(api, "payment.captured", payment=gateway_payment(foreign["id"]))
    shop.settle_later()

    assert status(api, payment)["status"] == "pending"
    assert shop.differences() == []


@pytest.mark.parametrize("prefix", ["", "kp", "2KP", "KP_", "ABCDEFGHIJK", "KP-1"])
def test_a_prefix_that_makes_no_receipt_is_refused_at_the_start(shop: Shop, prefix: str) -> None:
    done = shop.kernapay("doctor", RECEIPT_PREFIX=prefix)
    if prefix:
        assert done.returncode == 1
        assert "RECEIPT_PREFIX" in done.stdout
    else:
        assert "RECEIPT_PREFIX" not in done.stdout


def test_a_stranger_cannot_choose_a_receipt(people: People) -> None:
    answer = people.new().create(payment_body(receipt="KP_1"))
    assert_problem(answer, 400, field="receipt")
