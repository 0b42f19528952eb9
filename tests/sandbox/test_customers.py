"""Customers, by the vendor's Python SDK, and the offers and contacts of payments."""

from typing import Any

import pytest
import razorpay

from tests.sandbox.sandbox_process import SandboxProcess
from tests.sandbox.shapes import check_shape

ASHA = {"name": "Asha Rao", "email": "asha@example.com", "contact": 9_000_000_001}


def test_customers_are_created_once_edited_and_listed(sandbox: SandboxProcess, client: Any) -> None:
    first = client.customer.create({**ASHA, "notes": {"a": "b"}})
    check_shape("customer", first)
    assert first["contact"] == "+919000000001"
    with pytest.raises(razorpay.errors.BadRequestError, match="Customer already exists"):
        client.customer.create(ASHA)
    same = client.customer.create({**ASHA, "name": "Another", "fail_existing": "0"})
    assert same == first, "the old name and notes stay"
    second = client.customer.create({"name": "Ravi", "email": "ravi@example.com"})
    assert second["notes"] == []
    edited = client.customer.edit(second["id"], {"name": "Ravi Kumar", "contact": "+14155550100"})
    assert edited == {**second, "name": "Ravi Kumar", "contact": "+14155550100"}
    assert client.customer.fetch(second["id"]) == edited
    assert client.customer.all({"count": 1, "skip": 1})["items"] == [first]
    with pytest.raises(razorpay.errors.BadRequestError, match="already exists"):
        client.customer.edit(second["id"], {"email": "asha@example.com"})
    assert sandbox.other_api.get(f"/v1/customers/{first['id']}").status_code == 400


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"contact": "1234567"}, "contact", "at least 8 digits"),
        ({"contact": "12345678abc"}, "contact", "invalid characters"),
        ({"name": "Ab"}, "name", "format"),
        ({"name": "x" * 51}, "name", "no more than 50"),
        ({"email": "nobody"}, "email", "valid email"),
        ({"email": f"{'x' * 60}@example.com"}, "email", "no more than 64"),
        ({"fail_existing": "perhaps"}, "fail_existing", "true or false"),
    ],
)
def test_an_invalid_customer_is_refused(
    sandbox: SandboxProcess, fields: Any, field: str, words: str
) -> None:
    error = sandbox.expect_error("POST", "/v1/customers", fields)
    assert error["field"] == field
    assert words in error["description"]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("9000090000", "+919000090000"),
        ("09000090000", "+919000090000"),
        ("919000090000", "+919000090000"),
        ("+91 90000-90000", "+919000090000"),
        ("+1 (415) 555-0100", "+14155550100"),
        ("1234", "1234"),
    ],
)
def test_a_payments_contact_gets_its_country_code(
    sandbox: SandboxProcess, sent: str, kept: str
) -> None:
    assert sandbox.create_payment(contact=sent)["contact"] == kept


def test_payments_inherit_the_notes_and_the_customer_of_their_order(
    sandbox: SandboxProcess, client: Any
) -> None:
    customer = client.customer.create(ASHA)
    order = client.order.create(
        {"amount": 50_000, "currency": "INR", "customer_id": customer["id"], "notes": {"a": "b"}}
    )
    payment = client.payment.fetch(sandbox.pay(order)["razorpay_payment_id"])
    assert payment["notes"] == {"a": "b"}
    assert payment["customer_id"] == customer["id"]
    # Later changes of the order's notes do not reach payments made before.
    client.order.edit(order["id"], {"notes": {"c": "d"}})
    assert client.payment.fetch(payment["id"])["notes"] == {"a": "b"}
    error = sandbox.expect_error(
        "POST",
        "/v1/orders",
        {"amount": 100, "currency": "INR", "customer_id": "cust_KpSandbox00001"},
    )
    assert error["description"] == "The id provided does not exist"


def test_an_offer_of_an_order_lowers_what_the_customer_pays(sandbox: SandboxProcess) -> None:
    tenth = sandbox.control("/offers", percent=10, method="card")
    flat = sandbox.control("/offers", amount=700)
    cashback = sandbox.control("/offers", amount=700, kind="cashback")
    order = sandbox.create_order(offer_id=tenth["id"], offers=[tenth["id"], flat["id"]])
    assert order["offer_id"] == tenth["id"]
    assert order["offers"] == [tenth["id"], flat["id"]]
    payment_id = sandbox.pay(order, method="card")["razorpay_payment_id"]
    shown = sandbox.call("GET", f"/v1/payments/{payment_id}", params={"expand[]": "offers"})
    assert shown["amount"] == 45_000
    assert shown["offers"]["items"] == [{"id": tenth["id"]}]
    assert shown["fee"] == 1_180, "the fee is of the order's amount"
    paid = sandbox.fetch_order(order["id"])
    assert (paid["status"], paid["amount_due"]) == ("paid", 0)
    for offer, amount in ((flat, 49_300), (cashback, 50_000)):
        order = sandbox.create_order(offer_id=offer["id"])
        payment = sandbox.fetch_payment(sandbox.pay(order, method="upi")["razorpay_payment_id"])
        assert (payment["amount"], payment["offer_id"]) == (amount, offer["id"])
    error = sandbox.expect_error(
        "POST", "/v1/orders", {"amount": 100, "currency": "INR", "offer_id": "offer_1"}
    )
    assert error["description"] == "offer_1 is not a valid id"
