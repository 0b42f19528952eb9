"""COMPAT=express: the calls of the Express service's front end, in the order in which it makes them."""

import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Iterator

import httpx
import pytest

from tests.actors import (
    API_KEYS,
    PAYMENTS,
    USERS,
    Actor,
    assert_problem,
    request_refund,
    send_event,
    verify,
)
from tests.aliases import Json, Store, json_of
from tests.factories import PASSWORD, gateway_payment, new_email, sign_up_body, unique, without
from tests.stack import KEY_ID, WEBHOOK_PATH, WEBHOOK_SECRET, Api, Sandbox, bearer

BASE = "/v1/api"
PAGE = "http://localhost:3000"
ORIGIN = {"Origin": PAGE}
RUPEES = "express; amounts=rupees"


@pytest.fixture(scope="module")
def old(
    api_env: dict[str, str], api_server: Api, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """A process with the old contract, beside the one with ours, on the same database."""
    env = {
        **without(api_env, "RAZORPAY_WEBHOOK_SECRET"),
        "WEBHOOK_SECRET": WEBHOOK_SECRET,
        "COMPAT": "express",
        "CORS_ORIGINS": PAGE,
    }
    with Api(tmp_path_factory.mktemp("compat"), env) as server:
        assert server.log_entries("compat_express", amounts="rupees")
        yield server.client


def sign_up(old: httpx.Client, **changes: object) -> Json:
    body = sign_up_body(countryCode="91", **changes)
    answer = old.post(f"{BASE}/user/signup", json=body)
    assert answer.status_code == 201, answer.text
    assert "password" not in answer.text
    return json_of(answer)


def sign_in(old: httpx.Client, email: str) -> Actor:
    answer = old.post(f"{BASE}/user/login", json={"email": email, "password": PASSWORD})
    assert answer.status_code == 202, answer.text
    login = json_of(answer)
    assert login["success"] is True
    claims = json.loads(urlsafe_b64decode(login["token"].split(".")[1] + "=="))
    assert (claims["userId"], claims["type"]) == (login["user"]["_id"], login["user"]["type"])
    return Actor(old, login["user"], PASSWORD, login["token"])


def assert_refused(
    answer: httpx.Response, status: int, text: str | None = None, field: str | None = None
) -> None:
    """Assert that the answer is a problem in the form of both contracts, and speaks of no paise."""
    problem = assert_problem(answer, status, field)
    assert problem["success"] is False
    assert problem["error"] == problem["message"] == (text or problem["error"])
    assert "paise" not in answer.text
    assert answer.headers["kernapay-compat"] == RUPEES


def test_a_front_end_of_the_express_service_sells_in_rupees(
    old: httpx.Client, api: httpx.Client, sandbox: Sandbox, admin: Actor, store: Store
) -> None:
    email = new_email()
    payer = sign_up(old, email=email)
    taken = old.post(f"{BASE}/user/signup", json=sign_up_body(email=email))
    assert_refused(taken, 400, "User account already exists!")
    wrong = old.post(f"{BASE}/user/login", json={"email": email, "password": "wrong"})
    assert_refused(wrong, 401, "Invalid credentials")
    asha = sign_in(old, email)
    doctor = sign_in(old, sign_up(old, type="DOCTOR")["email"])
    updated = asha.call("PUT", f"{BASE}/user/updateUser", json={"name": "Asha Iyer"})
    assert (updated.status_code, json_of(updated)["success"]) == (200, True)
    shown = json_of(asha.call("GET", f"{BASE}/user/profile"))
    assert (shown["_id"], shown["name"], shown["type"]) == (payer["_id"], "Asha Iyer", "USER")
    assert json_of(doctor.call("GET", f"{BASE}/user/profile"))["type"] == "DOCTOR"

    body = {
        "amount": 500,
        "currency": "INR",
        "description": "",
        "providerId": doctor.id,
        "serviceType": "CONSULTATION",
        "idempotencyKey": unique(f"order_{asha.id}_"),
    }
    first = asha.call("POST", f"{BASE}/payments/create", json=body, headers=ORIGIN)
    assert first.status_code == 201, first.text
    assert first.headers["access-control-allow-origin"] == PAGE
    sale = json_of(first)["data"]
    assert (sale["amount"], sale["razorpayKey"], sale["status"]) == (500, KEY_ID, "pending")
    assert sale["idempotencyKey"] == body["idempotencyKey"]
    assert sandbox.call("GET", f"/v1/orders/{sale['orderId']}")["amount"] == 50_000
    again = asha.call("POST", f"{BASE}/payments/create", json=body)
    assert again.status_code == 200
    repeat = json_of(again)["data"]
    assert (repeat["orderId"], repeat["isDuplicate"]) == (sale["orderId"], True)
    assert repeat["message"]
    assert "idempotencyKey" not in repeat
    # No key, and what Q filled in.
    short = asha.call("POST", f"{BASE}/payments/create", json={"amount": 499.5})
    assert short.status_code == 201, short.text
    assert json_of(short)["data"]["amount"] == 499.5
    assert (
        sandbox.call("GET", f"/v1/orders/{json_of(short)['data']['orderId']}")["amount"] == 49_950
    )

    checkout = sandbox.pay(sale["orderId"])
    forged = verify(old, sale, checkout, razorpaySignature="0" * 64)
    assert_refused(forged, 400)
    paid = verify(old, sale, checkout)
    assert (paid.status_code, json_of(paid)["success"]) == (200, True)
    assert json_of(paid)["paymentMethod"]
    assert_refused(verify(old, sale, checkout, razorpaySignature="0" * 64), 400)
    request_refund(admin.at(api), sale, 10_025)

    where = f"{BASE}/payments/status/{sale['referenceId']}"
    status = json_of(asha.call("GET", where))["data"]
    assert (status["status"], status["amount"], status["amountPaid"]) == ("success", 500, 500)
    assert (status["amountRefunded"], status["notes"]) == (100.25, "")
    other = json_of(
        asha.call("GET", f"{BASE}/payments/status/{json_of(short)['data']['referenceId']}")
    )
    assert other["data"]["paymentMethod"] == "Payment Not Done"
    history = f"{BASE}/payments/paymenthistory/{asha.id}"
    rows = json_of(asha.call("GET", history, params={"limit": 3}))["data"]
    assert [row["amount"] for row in rows] == [499.5, 500]
    assert rows[1]["amountRefunded"] == 100.25

    # The old holes are closed.
    stranger = sign_in(old, sign_up(old)["email"])
    assert_refused(stranger.call("GET", history), 403)
    assert_refused(stranger.call("GET", where), 404, "Payment not found")
    assert_refused(old.get(where), 401, "Invalid or expired token.")
    # A reference from before the move, which is not secret.
    former = f"PAY_{asha.id}_1760000000000_7"
    words = {"service": "express", "amount": "500", "unit": "rupees", "proof": "order"}
    store.payments.update_one(
        {"referenceId": sale["referenceId"]}, {"$set": {"former": words | {"reference": former}}}
    )
    where = f"{BASE}/payments/status/{former}"
    assert json_of(asha.call("GET", where))["data"]["referenceId"] == sale["referenceId"]
    assert_refused(stranger.call("GET", where), 404, "Payment not found")
    assert_refused(old.get(where), 401)
    assert verify(old, sale, checkout, referenceId=former).status_code == 200
    # The other process has the same payments and takes the same token.
    seen = asha.at(api).seen(sale["referenceId"])
    assert (seen["amount"], seen["amountRefunded"], seen["payeeId"]) == (50_000, 10_025, doctor.id)


def test_what_old_pages_and_programs_relied_on_is_as_it_was(
    old: httpx.Client, api: httpx.Client, sandbox: Sandbox
) -> None:
    """Recorded at the Express service."""
    # Its pages put names, notes and errors into HTML as they come.
    markup = "<img src=x onerror=alert(1)>"
    escaped = markup.replace("<", "&lt;")
    email = new_email()
    assert sign_up(old, email=email, name=f"Meera {markup}")["name"] == f"Meera {escaped}"
    meera = sign_in(old, email)
    assert json_of(meera.call("GET", f"{BASE}/user/profile"))["name"] == f"Meera {escaped}"
    # A form sends back what the page was shown.
    changed = {"name": f"Meera R {escaped}", "countryCode": "91", "mobileNumber": 9876543210}
    assert meera.call("PUT", f"{BASE}/user/updateUser", json=changed).status_code == 200
    assert json_of(meera.call("GET", f"{BASE}/user/profile"))["name"] == f"Meera R {escaped}"
    assert json_of(meera.at(api).profile())["name"] == f"Meera R {markup}"
    refused = meera.call("POST", f"{BASE}/payments/create", json={markup: 1, "amount": 5})
    assert_refused(refused, 400, field=escaped)
    assert "<" not in refused.text

    body = {
        "amount": "640",
        "description": f"A first visit\n{markup}",
        "providerId": "clinic-7",
        "idempotencyKey": unique("a key with spaces ü <1> "),
    }
    first = meera.call("POST", f"{BASE}/payments/create", json=body)
    assert first.status_code == 201, first.text
    sale = json_of(first)["data"]
    assert (sale["amount"], sale["idempotencyKey"]) == (
        640,
        body["idempotencyKey"].replace("<", "&lt;"),
    )
    assert sandbox.call("GET", f"/v1/orders/{sale['orderId']}")["amount"] == 64_000
    same = {"amount": 640, "description": f"A first visit {escaped}"}
    again = meera.call("POST", f"{BASE}/payments/create", json=body | same)
    assert (again.status_code, json_of(again)["data"]["orderId"]) == (200, sale["orderId"])
    shown = json_of(meera.call("GET", f"{BASE}/payments/status/{sale['referenceId']}"))["data"]
    assert shown["notes"] == f"A first visit {escaped}"
    assert meera.at(api).seen(sale["referenceId"])["description"] == f"A first visit {markup}"
    (row,) = json_of(meera.call("GET", f"{BASE}/payments/paymenthistory/{meera.id}"))["data"]
    for time in (row["createdAt"], shown["createdAt"], shown["updatedAt"]):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", time), time


def test_what_is_not_of_the_old_contract_is_refused_and_no_amount_is_taken_for_another(
    old: httpx.Client, user: Actor, admin: Actor, sandbox: Sandbox
) -> None:
    payer = user.at(old)
    orders = sandbox.order_count()
    for amount in (
        *("0", "-5", "1.005", "1e3", '"500 "', '"5e2"', "null", "true", "[500]", "1" + "0" * 13),
        *("0.00", "0.5"),
    ):
        body = f'{{"amount": {amount}, "providerId": "clinic-7"}}'
        answer = payer.call("POST", f"{BASE}/payments/create", content=body, headers=ORIGIN)
        assert_refused(answer, 400, field="amount")
        assert answer.headers["access-control-allow-origin"] == PAGE
    for text, field in (
        ('{"amount": NaN}', "body"),
        ('{"amount": 5, "amou\\u006et": 500}', "amount"),
        ('{"amount": 500, "currency": "JPY"}', "currency"),
        ('{"amount": 500, "metadata": {}}', "metadata"),
        ('{"description": "\\ud800", "amount": 5}', "body"),
        ("[500]", "body"),
        ("amount=500", "body"),
        ("{}", "amount"),
    ):
        answer = payer.call("POST", f"{BASE}/payments/create", content=text)
        assert_refused(answer, 400, field=field)
    unknown = old.post(f"{BASE}/payments/create", json={"amount": "x"})
    assert_refused(unknown, 401, "Invalid or expired token.")
    key = admin.call(
        "POST", API_KEYS, json={"name": "Shop", "role": "USER", "userId": user.id}
    ).json()["key"]
    paise = old.post(f"{BASE}/payments/create", json={"amount": 50_000}, headers=bearer(key))
    assert_refused(paise, 403)
    assert sandbox.order_count() == orders

    for method, path in (
        ("GET", f"{USERS}/profile"),
        ("GET", f"{PAYMENTS}/history/{user.id}"),
        ("GET", f"{BASE}/payments/status/export"),
        ("PUT", f"{BASE}/user/verifyUser"),
        ("GET", f"{BASE}/user/login"),
        *(("GET", path) for path in ("/docs", "/console", "/checkout/x", BASE, "/")),
    ):
        assert_refused(payer.call(method, path), 404)
    ready = old.get("/health/ready")
    assert json_of(ready) | {"amounts": "rupees", "compat": "express"} == json_of(ready)
    assert old.options(f"{BASE}/payments/create", headers=ORIGIN).status_code == 204

    event = gateway_payment("order_unknown0001")
    old_path = f"{WEBHOOK_PATH}/razorpay"
    assert_refused(send_event(old, "payment.captured", secret="wrong", payment=event), 401)
    taken = send_event(old, "payment.captured", payment=event)
    assert (taken.status_code, json_of(taken)) == (200, {"success": True})
    sent = taken.request
    repeat = old.post(old_path, content=sent.content, headers=sent.headers)
    assert (repeat.status_code, json_of(repeat)) == (200, {"success": True})
