"""Rotated keys, and accounts of test and live mode with data of their own."""

import httpx
import pytest
import razorpay

from tests.sandbox.sandbox_process import KEY, OTHER_KEY, SandboxProcess
from tests.secrecy import confidential


def status(sandbox: SandboxProcess, key: tuple[str, str], path: str = "/v1/orders") -> int:
    return sandbox.anonymous.get(path, auth=httpx.BasicAuth(*key)).status_code


def test_an_old_key_works_for_a_day_and_then_ends(sandbox: SandboxProcess) -> None:
    sandbox.freeze_clock()
    order = sandbox.create_order()
    rotated = sandbox.control("/keys/rotate")
    new = (rotated["key_id"], rotated["key_secret"])
    confidential.add(new[1])
    assert rotated["account"] == KEY[0]
    assert new[0].startswith("rzp_test_")
    path = f"/v1/orders/{order['id']}"
    assert status(sandbox, KEY, path) == status(sandbox, new, path) == 200
    # Checkout signs with the key it was opened with; without one, with the current one.
    assert razorpay.Client(auth=new).utility.verify_payment_signature(sandbox.pay(order))
    by_old_key = pay_in_checkout(sandbox, sandbox.create_order(), KEY[0])
    assert razorpay.Client(auth=KEY).utility.verify_payment_signature(by_old_key)
    listed = sandbox.inspect("/keys")
    assert new[1] not in str(listed)
    assert [row["expires_at"] is None for row in listed["items"]] == [True, True, False]
    sandbox.advance_clock(86_401)
    assert status(sandbox, KEY) == 401
    assert status(sandbox, new, path) == 200
    session = {"key_id": KEY[0], "order_id": order["id"]}
    assert sandbox.anonymous.get("/checkout/session", params=session).status_code == 401
    assert sandbox.inspect("/overview")["key_id"] == new[0]
    for old, hours in ((KEY[0], 24), (new[0], 25), ("rzp_test_nobody", 1)):
        body = {"key_id": old, "keep_old_hours": hours}
        answer = sandbox.anonymous.post("/_sandbox/keys/rotate", json=body)
        assert answer.status_code in {400, 409}
    last = sandbox.control("/keys/rotate", key_id=new[0], keep_old_hours=0)
    confidential.add(last["key_secret"])
    assert status(sandbox, new) == 401, "ended at once"
    assert "api_key" not in sandbox.inspect("/snapshot")
    sandbox.control("/reset")
    assert status(sandbox, KEY) == 200


def pay_in_checkout(
    sandbox: SandboxProcess, order: dict[str, object], key_id: str
) -> dict[str, str]:
    """Pay as the payment window does."""
    attempt = {"key_id": key_id, "order_id": order["id"], "method": "upi"}
    started = sandbox.anonymous.post("/checkout/payments", json=attempt).json()
    finish = f"/checkout/payments/{started['payment_id']}/finish"
    return dict(sandbox.anonymous.post(finish, json={"key_id": key_id}).json())


@pytest.mark.parametrize("key", [KEY, OTHER_KEY])
def test_each_account_has_events_links_customers_and_offers_of_its_own(
    sandbox: SandboxProcess, key: tuple[str, str]
) -> None:
    own = sandbox.api if key == KEY else sandbox.other_api
    other = sandbox.other_api if key == KEY else sandbox.api
    customer = own.post("/v1/customers", json={"name": "Asha"}).json()
    link = own.post("/v1/payment_links", json={"amount": 100, "reference_id": "r"}).json()
    offer = sandbox.control("/offers", amount=10, key_id=key[0])
    body = {"amount": 100, "currency": "INR"}
    assert own.post("/v1/orders", json={**body, "offer_id": offer["id"]}).status_code == 200
    assert other.post("/v1/orders", json={**body, "offer_id": offer["id"]}).status_code == 400
    assert other.get(f"/v1/customers/{customer['id']}").status_code == 400
    assert other.get(f"/v1/payment_links/{link['id']}").status_code == 400
    assert other.get("/v1/payment_links").json() == {"payment_links": []}
    again = other.post("/v1/payment_links", json={"amount": 100, "reference_id": "r"})
    assert again.status_code == 200, "a reference is unique within an account"
