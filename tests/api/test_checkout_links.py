"""Links with which somebody without an account pays, once; and where their page may lead."""

from typing import Any

import httpx
import pytest
from bson import ObjectId

from kernapay.config.addresses import checkout_script, checkout_sources
from kernapay.payments.checkout.links import CheckoutLinks
from tests.actors import API_KEYS, PAYMENTS, Actor, assert_problem, request_refund, verify
from tests.administration.machines import Machine, make
from tests.aliases import Json, Store
from tests.databases import row_of
from tests.environment import PRODUCTION, REQUIRED, settings_from
from tests.factories import payment_body, unique
from tests.in_process import InProcess
from tests.stack import JWT_SECRET, KEY_ID, Api, Sandbox, bearer

SHOP = "https://shop.example"
ADDRESS = "https://pay.kernapay.test"


@pytest.fixture
def shop(admin: Actor, user: Actor) -> Machine:
    key = make(admin, userId=user.id, scopes=["payments:write"], checkoutOrigins=[SHOP])
    return Machine(admin.client, key)


def created(who: Actor | Machine, **changes: Any) -> Json:
    body = payment_body(checkout=True, **changes)
    answer = who.call("POST", f"{PAYMENTS}/create", json=body)
    assert answer.status_code == 201, answer.text
    data: Json = answer.json()["data"]
    return data


def token_of(payment: Json) -> str:
    address, _, token = payment["checkoutUrl"].rpartition("/")
    assert address == f"{ADDRESS}/checkout"
    return str(token)


def opened(client: httpx.Client, payment: Json) -> Json:
    answer = client.get(f"/v1/api/checkout/{token_of(payment)}")
    assert answer.status_code == 200, answer.text
    page: Json = answer.json()
    return page


def test_the_bearer_of_a_link_pays_without_an_account(
    api: httpx.Client, shop: Machine, sandbox: Sandbox
) -> None:
    pages = {"successUrl": f"{SHOP}/thanks?cart=4", "cancelUrl": f"{SHOP}/cart"}
    payment = created(shop, description="Consultation", **pages)
    page = opened(api, payment)
    assert page["state"] == "open"
    assert {name: page[name] for name in pages} == pages
    # All that an integrator's own page needs, too.
    for name in ("key", "orderId", "amount", "currency", "name", "referenceId"):
        assert page[name] == payment[name], name
    assert (page["key"], page["decimals"], page["livemode"]) == (KEY_ID, 2, False)
    assert page["script"] == f"{sandbox.url}/v1/checkout.js"
    assert verify(api, page, sandbox.pay(page["orderId"])).status_code == 200
    paid = opened(api, payment)
    assert (paid["state"], paid["successUrl"]) == ("paid", pages["successUrl"])
    assert (paid["key"], paid["orderId"], paid["script"]) == (None, None, None)


def test_checkout_asks_a_customer_for_nothing_that_is_known_and_tells_it_no_longer_than_needed(
    api: httpx.Client, admin: Actor, user: Actor, sandbox: Sandbox
) -> None:
    scopes = ["payments:write", "customers:write"]
    shop = Machine(admin.client, make(admin, userId=user.id, scopes=scopes))
    asha = {"name": "Asha Rao", "email": "asha@example.com", "contact": "+919876543210"}
    paid, open_ = (created(shop, customer={**asha, "reference": "c-7"}) for _ in range(2))
    assert paid["prefill"] == opened(api, paid)["prefill"] == asha
    assert verify(api, paid, sandbox.pay(paid["orderId"])).status_code == 200
    assert opened(api, paid)["prefill"] is None
    erased = shop.call("DELETE", f"/v1/api/customers/{open_['customerId']}")
    assert erased.status_code == 200
    assert opened(api, open_)["prefill"] == {"name": None, "email": None, "contact": None}


def test_a_repeat_is_answered_with_the_same_link(shop: Machine, user: Actor) -> None:
    key = unique("link-")
    first = created(shop, idempotencyKey=key, successUrl=f"{SHOP}/a")
    body = payment_body(checkout=True, idempotencyKey=key, successUrl=f"{SHOP}/a")
    again = shop.call("POST", f"{PAYMENTS}/create", json=body)
    assert (again.status_code, again.json()["data"]) == (200, first)
    other = shop.call("POST", f"{PAYMENTS}/create", json={**body, "successUrl": f"{SHOP}/b"})
    assert_problem(other, 409, code="idempotency_key_reused")


def test_without_being_asked_for_there_is_no_link(
    api: httpx.Client, user: Actor, store: Store
) -> None:
    payment = user.new_payment()
    assert payment["checkoutUrl"] is None
    row = row_of(store.payments, referenceId=payment["referenceId"])
    assert "checkout" not in row
    guessed = CheckoutLinks(ADDRESS, [JWT_SECRET]).url_of(str(row["_id"])).rpartition("/")[2]
    assert_problem(api.get(f"/v1/api/checkout/{guessed}"), 404)


def test_a_link_of_a_cancelled_payment_sells_nothing(api: httpx.Client, user: Actor) -> None:
    payment = created(user)
    assert user.call("POST", f"{PAYMENTS}/{payment['referenceId']}/cancel").status_code == 200
    page = opened(api, payment)
    assert (page["state"], page["key"], page["orderId"]) == ("ended", None, None)


def test_nobody_pays_once_more_what_is_being_confirmed(
    api: httpx.Client, user: Actor, store: Store
) -> None:
    payment = created(user)
    where = {"referenceId": payment["referenceId"]}
    store.payments.update_one(where, {"$currentDate": {"authorizedAt": True}})
    page = opened(api, payment)
    assert (page["state"], page["key"], page["orderId"]) == ("confirming", None, None)
    # The bank has said no since: another attempt may pay.
    store.payments.update_one(where, {"$set": {"status": "failed"}})
    assert opened(api, payment)["state"] == "open"


def test_a_link_says_that_the_money_went_back(
    api: httpx.Client, user: Actor, admin: Actor, sandbox: Sandbox
) -> None:
    payment, _ = user.buy(sandbox, checkout=True)
    assert request_refund(admin, payment, 100).status_code == 201
    assert opened(api, payment)["state"] == "paid"
    assert request_refund(admin, payment).status_code == 201
    assert opened(api, payment)["state"] == "refunded"


@pytest.mark.parametrize(
    ("changes", "script", "sources"),
    [
        ({}, "https://checkout.razorpay.com", "https://*.razorpay.com"),
        ({"RAZORPAY_BASE_URL": "http://127.0.0.1:3100/"}, *["http://127.0.0.1:3100"] * 2),
        # A proxy before the API has no Checkout.
        (
            {**PRODUCTION, "RAZORPAY_BASE_URL": "https://egress.example.com"},
            "https://checkout.razorpay.com",
            "https://*.razorpay.com",
        ),
    ],
    ids=["test key", "sandbox", "live key behind a proxy"],
)
def test_checkout_is_the_gateways_own(changes: Json, script: str, sources: str) -> None:
    settings = settings_from({**REQUIRED, **changes})
    assert checkout_script(settings) == f"{script}/v1/checkout.js"
    assert checkout_sources(settings) == sources


def _flip(token: str, at: int) -> str:
    return token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]


@pytest.mark.owasp(line="API1")
def test_nobody_guesses_a_link(api: httpx.Client, user: Actor) -> None:
    token = token_of(created(user))
    for at in (0, 8, 15, 17, 25, 36):
        assert_problem(api.get(f"/v1/api/checkout/{_flip(token, at)}"), 404)
    for odd in (token[:-1], f"{token}A", "order_1", str(ObjectId()), "%00" * 38, "ü" * 38):
        assert_problem(api.get(f"/v1/api/checkout/{odd}"), 400, "token")


def test_links_outlast_a_rotation_of_the_secret() -> None:
    payment_id = str(ObjectId())
    old = CheckoutLinks(ADDRESS, ["old"]).url_of(payment_id).rpartition("/")[2]
    assert CheckoutLinks(ADDRESS, ["new", "old"]).read(old) == payment_id
    assert CheckoutLinks(ADDRESS, ["new", "newer"]).read(old) is None


STRANGE = [
    "https://evil.example/",
    "https://shop.example.evil.example/",
    "https://shop.example@evil.example/",
    "https://evil.example\\@shop.example/",
    "https://shop.example:8443/",
    "http://shop.example/",
    "https:///shop.example",
    "https://shop.example%2eevil.example/",
]
FORMLESS = [
    "javascript:alert(1)",
    "//shop.example",
    "https://shop.example/\t",
    "https://",
    "x" * 600,
]


@pytest.mark.owasp(line="API7")
@pytest.mark.parametrize("field", ["successUrl", "cancelUrl"])
def test_the_page_leads_to_no_stranger(shop: Machine, field: str) -> None:
    for url in (*STRANGE, *FORMLESS):
        body = payment_body(checkout=True, **{field: url})
        assert_problem(shop.call("POST", f"{PAYMENTS}/create", json=body), 400, field)
    assert created(shop, **{field: "https://SHOP.example:443/x"})["checkoutUrl"]


def test_a_person_names_no_page_and_nobody_names_one_without_a_link(
    shop: Machine, user: Actor
) -> None:
    assert_problem(user.create(checkout=True, successUrl=f"{SHOP}/"), 400, "successUrl")
    body = payment_body(cancelUrl=f"{SHOP}/")
    assert_problem(shop.call("POST", f"{PAYMENTS}/create", json=body), 400, "cancelUrl")


@pytest.mark.parametrize(
    "origin",
    ["https://*.example", "*", "http://shop.example", "shop.example", "app://shop", "https://a/b"],
)
def test_a_key_lists_origins_of_pages_only(admin: Actor, origin: str) -> None:
    body = {"name": "Shop", "role": "USER", "checkoutOrigins": [origin]}
    assert_problem(admin.call("POST", API_KEYS, json=body), 400, "checkoutOrigins")


def test_a_key_shows_its_origins_as_browsers_write_them(admin: Actor, user: Actor) -> None:
    given = ["HTTPS://Shop.Example:443/", "https://shop.example", "http://localhost:8000"]
    body = {"name": "Shop", "role": "USER", "userId": user.id, "checkoutOrigins": given}
    made = admin.call("POST", API_KEYS, json=body).json()
    assert made["details"]["checkoutOrigins"] == ["http://localhost:8000", SHOP]


@pytest.mark.anyio
async def test_without_an_address_there_are_no_links(in_process: InProcess, user: Actor) -> None:
    async with in_process(public_url=None) as client:
        body = payment_body(checkout=True)
        answer = await client.post(f"{PAYMENTS}/create", json=body, headers=bearer(user.token))
        assert_problem(answer, 400, "checkout")


def test_the_page_runs_no_script_but_ours_and_the_gateways(
    api_server: Api, user: Actor, sandbox: Sandbox
) -> None:
    token = token_of(created(user))
    for path in (token, "assets/page.js", "assets/page.css"):
        answer = api_server.client.get(f"/checkout/{path}")
        assert answer.status_code == 200
        policy = dict(
            each.strip().split(" ", 1)
            for each in answer.headers["content-security-policy"].split(";")
        )
        assert policy["script-src"] == f"'self' {sandbox.url}"
        # A bank's page in a window of its own reports to ours.
        assert answer.headers["cross-origin-opener-policy"] == "same-origin-allow-popups"
        assert policy["frame-ancestors"] == policy["default-src"] == "'none'"
    assert_problem(api_server.client.get("/checkout/assets/controller.py"), 404)
    assert_problem(api_server.client.get("/checkout/x"), 400, "token")
