"""Route's linked accounts: how they come to be, whom they belong to, and that transfers reach them."""

import json
from copy import deepcopy
from typing import Any

import pytest

from tests.sandbox.linked_accounts import ACCOUNT, BANK, STAKEHOLDER
from tests.sandbox.sandbox_process import SandboxProcess, wait_for
from tests.sandbox.shapes import check_shape
from tests.sandbox.webhook_receiver import WebhookReceiver


def changed(body: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Return a copy of the body with another value at the path, or without it if the value is `...`."""
    copy = deepcopy(body)
    *outer, last = path.split(".")
    part = copy
    for name in outer:
        part = part.setdefault(name, {})
    if value is ...:
        del part[last]
    else:
        part[last] = value
    return copy


def test_an_account_is_created_fetched_and_changed_by_the_sdk(client: Any) -> None:
    account = client.account.create(ACCOUNT)
    check_shape("linked_account", account)
    assert (account["status"], account["email"]) == ("created", "north@example.com")
    assert account["customer_facing_business_name"] == "North Clinic"
    assert account["profile"]["addresses"]["registered"]["postal_code"] == "560034"
    assert client.account.fetch(account["id"]) == account
    operation = {"street1": "5071, 6th block", "city": "Bengaluru", "state": "Karnataka"}
    change = {
        "legal_business_name": "North Clinic V2",
        "profile": {"addresses": {"operation": operation}},
        "legal_info": {"pan": "BAACL1234C"},
        "notes": {"k": "v"},
    }
    edited = client.account.edit(account["id"], change)
    assert edited["legal_business_name"] == "North Clinic V2"
    assert edited["legal_info"] == {"pan": "BAACL1234C", "gst": "18AABCU9603R1ZM"}
    assert edited["profile"] == {
        **account["profile"],
        "addresses": {**account["profile"]["addresses"], "operation": operation},
    }
    assert edited["notes"] == {"k": "v"}
    assert client.account.fetch(account["id"]) == edited


def test_a_transfer_reaches_an_account_that_was_created_here(
    sandbox: SandboxProcess, client: Any
) -> None:
    account = client.account.create(ACCOUNT)["id"]
    transfer = {"account": account, "amount": 10_000, "currency": "INR"}
    payment = sandbox.create_payment()
    (made,) = client.payment.transfer(payment["id"], {"transfers": [transfer]})["items"]
    assert made["recipient"] == account
    order = sandbox.create_order(transfers=[transfer])
    sandbox.pay(order)
    sandbox.advance_clock(2)
    wait_for(
        lambda: all(
            row["status"] == "processed" for row in sandbox.call("GET", "/v1/transfers")["items"]
        )
    )
    headers = {"X-Razorpay-Account": account}
    page = sandbox.call("GET", "/v1/payments", headers=headers)
    assert [row["amount"] for row in page["items"]] == [10_000, 10_000]


def test_the_stakeholder_is_created_listed_and_changed_by_the_sdk(client: Any) -> None:
    account = client.account.create(ACCOUNT)["id"]
    stakeholder = client.stakeholder.create(account, STAKEHOLDER)
    check_shape("stakeholder", {**stakeholder, "percentage_ownership": 10})
    assert stakeholder["percentage_ownership"] == 10.5
    assert stakeholder["relationship"] == {"director": True}
    assert stakeholder["phone"] == {"primary": "9000090000", "secondary": "9000090001"}
    assert client.stakeholder.fetch(account, stakeholder["id"]) == stakeholder
    edited = client.stakeholder.edit(
        account, stakeholder["id"], {"addresses": {"residential": {"city": "Mysuru"}}}
    )
    residential = {**STAKEHOLDER["addresses"]["residential"], "city": "Mysuru"}
    assert edited == {**stakeholder, "addresses": {"residential": residential}}
    assert client.stakeholder.all(account) == {
        "entity": "collection",
        "count": 1,
        "items": [edited],
    }


def test_stakeholders_and_products_belong_to_one_account(
    sandbox: SandboxProcess, client: Any
) -> None:
    first = client.account.create(ACCOUNT)["id"]
    second = client.account.create({**ACCOUNT, "email": "south@example.com"})["id"]
    stakeholder = client.stakeholder.create(first, {"email": "asha@example.com"})["id"]
    error = sandbox.expect_error("POST", f"/v2/accounts/{first}/stakeholders", STAKEHOLDER)
    assert error["description"] == "Stakeholders cannot be more than one for Route product."
    error = sandbox.expect_error("GET", f"/v2/accounts/{second}/stakeholders/{stakeholder}")
    assert error["description"] == "The id provided does not exist"
    product = client.product.requestProductConfiguration(first, {"product_name": "route"})["id"]
    error = sandbox.expect_error("GET", f"/v2/accounts/{second}/products/{product}")
    assert error["reason"] == "NA"


def test_the_product_is_active_once_it_has_a_bank_account(
    sandbox: SandboxProcess, client: Any, receiver: WebhookReceiver, webhook: dict[str, Any]
) -> None:
    sandbox.freeze_clock()
    account = client.account.create(ACCOUNT)["id"]
    request = {"product_name": "route", "tnc_accepted": True}
    product = client.product.requestProductConfiguration(account, request)
    check_shape("product", product)
    assert product["id"].startswith("acc_prd_")
    assert product["activation_status"] == "needs_clarification"
    assert [row["field_reference"] for row in product["requirements"]] == [
        "settlements.beneficiary_name",
        "settlements.account_number",
        "settlements.ifsc_code",
    ]
    path = f"/accounts/{account}/products/{product['id']}"
    assert product["requirements"][0]["resolution_url"] == path
    assert client.product.requestProductConfiguration(account, request) == product
    assert client.product.fetch(account, product["id"]) == product
    half = {"settlements": {"account_number": BANK["account_number"]}}
    edited = client.product.edit(account, product["id"], half)
    assert len(edited["requirements"]) == 2
    edited = client.product.edit(account, product["id"], {"settlements": BANK})
    check_shape("product", edited)
    assert edited["active_configuration"]["settlements"] == BANK
    assert (edited["activation_status"], edited["requirements"]) == ("activated", [])
    client.product.edit(account, product["id"], {"tnc_accepted": True})
    sandbox.create_payment()
    events = receiver.wait_for(2)
    assert [row.event for row in events][:2] == ["product.route.activated", "payment.authorized"]
    event = json.loads(events[0].body)
    check_shape("event", event)
    assert (event["account_id"], event["contains"]) == (account, ["merchant_product"])
    part = event["payload"]["merchant_product"]
    check_shape("merchant_product", part["entity"])
    assert part == {
        "entity": {
            "id": product["id"],
            "merchant_id": account,
            "activation_status": "activated",
        },
        "data": [],
    }


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("email", ..., "The email field is required."),
        ("email", "a b", "The email must be a valid email address."),
        ("phone", ..., "The phone field is required."),
        ("phone", 1234567, "The phone must be at least 8 characters."),
        ("legal_business_name", "abc", "The legal_business_name must be at least 4 characters."),
        ("business_type", "xyz", "Invalid business type: xyz"),
        ("type", "shop", "Invalid type: shop"),
        ("reference_id", "ab", "The code must be at least 3 characters."),
        ("reference_id", "a b c", "The code format is invalid."),
        ("profile", ..., "The profile field is required."),
        ("profile", "x", "The profile must be an object."),
        ("profile.category", ..., "The category field is required."),
        ("profile.addresses.registered", ..., "The registered field is required."),
        ("profile.addresses.registered.postal_code", 56, "The postal_code must be at least 6 characters."),
        ("profile.planet", "Earth", "planet is/are not required and should not be sent"),
        ("legal_info.pan", "AAAPL1234C", "The pan format is invalid."),
        ("legal_info.gst", "18", "The gst format is invalid."),
        ("apps.android", "x", "The android must be an array."),
        ("apps.websites", [1], "The websites must be an array."),
        ("contact_info.refund.email", [], "The email must be a string."),
        ("planet", "Earth", "planet is/are not required and should not be sent"),
    ],
)  # fmt: skip
def test_an_account_with_a_wrong_field_is_refused(
    sandbox: SandboxProcess, path: str, value: Any, words: str
) -> None:
    error = sandbox.expect_error("POST", "/v2/accounts", changed(ACCOUNT, path, value))
    assert (error["code"], error["description"]) == ("BAD_REQUEST_ERROR", words)
    assert error.get("field", "planet") == path.rpartition(".")[2]


def test_an_email_has_one_account_for_each_business(sandbox: SandboxProcess) -> None:
    account = sandbox.call("POST", "/v2/accounts", ACCOUNT)
    error = sandbox.expect_error(
        "POST", "/v2/accounts", {**ACCOUNT, "email": ACCOUNT["email"].upper()}
    )
    name = account["id"].removeprefix("acc_")
    assert error["description"] == f"Merchant email already exists for account - {name}."
    assert sandbox.other_api.post("/v2/accounts", json=ACCOUNT).status_code == 200
    error = sandbox.expect_error("PATCH", f"/v2/accounts/{account['id']}", {"email": "a@b.co"})
    assert error["reason"] == "extra_field_sent"


def test_an_account_is_unknown_to_other_businesses(sandbox: SandboxProcess, client: Any) -> None:
    account = client.account.create(ACCOUNT)["id"]
    product = client.product.requestProductConfiguration(account, {"product_name": "route"})
    assert product["tnc"] == []
    for path in ("", "/stakeholders", f"/products/{product['id']}"):
        response = sandbox.other_api.get(f"/v2/accounts/{account}{path}")
        error = response.json()["error"]
        assert (response.status_code, error["reason"]) == (400, "linked_account_id_does_not_exist")
        assert error["description"] == "Linked account does not exist"
    assert sandbox.anonymous.get(f"/v2/accounts/{account}").status_code == 401
    error = sandbox.expect_error("GET", f"/v2/accounts/{account}/products/acc_prd_KpSandbox00001")
    assert error["description"] == "The provided product config id doesn't exist for the merchant"


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("account_number", "1234", "The account number must be between 5 and 20 characters."),
        ("account_number", 10**30, "The account_number must be a string."),
        ("ifsc_code", "HDFC1000317", "Invalid IFSC Code"),
        ("beneficiary_name", "<b>", "The name may only contain alphabets, digits and spaces"),
    ],
)
def test_a_wrong_bank_account_is_refused(
    sandbox: SandboxProcess, client: Any, field: str, value: Any, words: str
) -> None:
    account = client.account.create(ACCOUNT)["id"]
    product = client.product.requestProductConfiguration(account, {"product_name": "route"})["id"]
    path = f"/v2/accounts/{account}/products/{product}"
    error = sandbox.expect_error("PATCH", path, {"settlements": {**BANK, field: value}})
    assert (error["description"], error["field"]) == (words, field)


def test_what_belongs_to_the_partner_api_is_the_sandboxs_own_refusal(
    sandbox: SandboxProcess, client: Any
) -> None:
    account = client.account.create(ACCOUNT)["id"]
    root = f"/v2/accounts/{account}"
    calls: list[tuple[str, str, Any]] = [
        ("POST", "/v2/accounts", {**ACCOUNT, "type": "standard"}),
        ("POST", "/v2/accounts", changed(ACCOUNT, "type", ...)),
        ("POST", f"{root}/products", {"product_name": "payment_links"}),
        ("DELETE", root, None),
        ("GET", f"{root}/documents", None),
        ("GET", f"{root}/webhooks", None),
        ("GET", "/v2/products/route/tnc", None),
    ]
    for method, path, body in calls:
        assert sandbox.expect_error(method, path, body)["code"] == "SANDBOX_ERROR", path
    error = sandbox.expect_error("POST", f"{root}/products", {"product_name": "rocket"})
    assert error["description"] == "The product requested is invalid."
    error = sandbox.expect_error(
        "POST", f"{root}/products", {"product_name": "route", "tnc_accepted": False}
    )
    assert error["description"] == "The selected tnc accepted is invalid."
    assert sandbox.expect_error("GET", "/v2/planets")["code"] == "BAD_REQUEST_ERROR"


def test_accounts_outlast_a_snapshot(sandbox: SandboxProcess, client: Any) -> None:
    account = client.account.create(ACCOUNT)
    stakeholder = client.stakeholder.create(account["id"], STAKEHOLDER)
    snapshot = sandbox.inspect("/snapshot")
    sandbox.control("/reset")
    assert sandbox.api.get(f"/v2/accounts/{account['id']}").status_code == 400
    sandbox.control("/snapshot", "PUT", **snapshot)
    assert client.account.fetch(account["id"]) == account
    assert client.stakeholder.all(account["id"])["items"] == [stakeholder]
