"""People and the gateway, as they use the API."""

from collections.abc import Mapping
from typing import Any

import httpx
from bson import ObjectId

from tests.aliases import Json, Store, json_of
from tests.factories import (
    event_body,
    event_headers,
    payment_body,
    sign_up_body,
    unique,
)
from tests.stack import WEBHOOK_PATH, WEBHOOK_SECRET, Sandbox, bearer

USERS = "/v1/api/users"
PAYMENTS = "/v1/api/payments"
VERIFICATION = "/v1/api/verification"
ADMIN = "/v1/api/admin"
ADMIN_USERS = f"{ADMIN}/users"
API_KEYS = f"{ADMIN}/api-keys"
AUDIT = f"{ADMIN}/audit"
EVENTS = "/v1/api/webhooks/events"
REPORTS = "/v1/api/reconciliation/reports"
EXPORTS = "/v1/api/exports"
SETTLEMENTS = "/v1/api/settlements"
ENDPOINTS = "/v1/api/endpoints"
CUSTOMERS = "/v1/api/customers"
INSIGHTS = "/v1/api/insights"
DELIVERIES = "/v1/api/deliveries"
OUTGOING_EVENTS = "/v1/api/events"
CONSOLE_SESSION = "/v1/api/console/session"


class Actor:
    """Somebody signed in. `device` signs in once more, `at` uses another process."""

    def __init__(
        self, client: httpx.Client, user: Mapping[str, Any], password: str, token: str
    ) -> None:
        self.client = client
        self.id: str = user["_id"]
        self.email: str = user["email"]
        self.password = password
        self.token = token

    def at(self, client: httpx.Client) -> "Actor":
        return Actor(client, {"_id": self.id, "email": self.email}, self.password, self.token)

    def device(self) -> "Actor":
        return log_in(self.client, self.email, self.password)

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {**bearer(self.token), **options.pop("headers", {})}
        return self.client.request(method, path, headers=headers, **options)

    def profile(self) -> httpx.Response:
        return self.call("GET", f"{USERS}/profile")

    def update(self, **changes: Any) -> httpx.Response:
        return self.call("PUT", f"{USERS}/update", json=changes)

    def log_out(self) -> httpx.Response:
        return self.call("POST", f"{USERS}/logout")

    def create(self, body: Any = None, key: str | None = None, **changes: Any) -> httpx.Response:
        """Create a payment; `key` goes into the header, `body` replaces the whole body."""
        headers = {} if key is None else {"Idempotency-Key": key}
        body = payment_body(**changes) if body is None else body
        return self.call("POST", f"{PAYMENTS}/create", json=body, headers=headers)

    def new_payment(self, **changes: Any) -> Json:
        """Create a payment that must succeed; return its data."""
        answer = self.create(**changes)
        assert answer.status_code == 201, answer.text
        return data_of(answer)

    def buy(self, sandbox: Sandbox, **changes: Any) -> tuple[Json, Json]:
        """Create a payment, pay it and verify it; return its data and what Checkout gave."""
        payment = self.new_payment(**changes)
        checkout = sandbox.pay(payment["orderId"])
        answer = verify(self.client, payment, checkout)
        assert answer.status_code == 200, answer.text
        return payment, checkout

    def new_customer(self, admin: "Actor") -> str:
        """Create a payment for a customer, with a key that the administrator makes; return the customer's id."""
        made = admin.call(
            "POST", API_KEYS, json={"name": "Shop", "role": "USER", "userId": self.id}
        )
        assert made.status_code == 201, made.text
        body = payment_body(customer={"reference": unique("customer-"), "name": "Ravi Iyer"})
        headers = bearer(made.json()["key"])
        answer = self.client.post(f"{PAYMENTS}/create", json=body, headers=headers)
        assert answer.status_code == 201, answer.text
        return str(data_of(answer)["customerId"])

    def new_endpoint(self, url: str = "https://8.8.8.8/hook", **changes: Any) -> Json:
        """Create an endpoint, which must succeed; return it with its secret. Nothing is sent without a worker."""
        answer = self.call("POST", ENDPOINTS, json={"url": url, **changes})
        assert answer.status_code == 201, answer.text
        made: Json = answer.json()
        return {**made["endpoint"], "secret": made["secret"]}

    def new_delivery(self, endpoint: Json) -> str:
        """Send a test to an endpoint; return the id of the delivery."""
        answer = self.call("POST", f"{ENDPOINTS}/{endpoint['_id']}/test")
        assert answer.status_code == 202, answer.text
        return str(answer.json()["deliveryId"])

    def history(self, user_id: str | None = None, **page: Any) -> httpx.Response:
        return self.call("GET", f"{PAYMENTS}/history/{user_id or self.id}", params=page)

    def show(self, reference_id: str) -> httpx.Response:
        return self.call("GET", f"{PAYMENTS}/{reference_id}")

    def seen(self, reference_id: str) -> Json:
        """Return the payment as its owner sees it."""
        answer = self.show(reference_id)
        assert answer.status_code == 200, answer.text
        return json_of(answer)


class People:
    """Open accounts; no two tests share one."""

    def __init__(self, client: httpx.Client, store: Store) -> None:
        self.client = client
        self._store = store

    def new(
        self, role: str = "USER", *, approved: bool = False, verified: bool = False, **changes: Any
    ) -> Actor:
        """Open an account; `approved` is an administrator's word for a PROVIDER."""
        # Only an operator does this; nobody has read the account yet, so no cache holds its old standing.
        appointed = role in ("ADMIN", "LAB_ASSISTANT")
        body = sign_up_body(type="USER" if appointed else role, **changes)
        answer = self.client.post(f"{USERS}/signup", json=body)
        assert answer.status_code == 201, answer.text
        if appointed or approved or verified:
            where = {"_id": ObjectId(answer.json()["_id"])}
            standing: Json = {"type": role, "isApprovedProvider": approved}
            if appointed or verified:
                standing["isEmailVerified"] = True
            self._store.users.update_one(where, {"$set": standing})
        return log_in(self.client, body["email"], body["password"])


def log_in(client: httpx.Client, email: str, password: str) -> Actor:
    answer = client.post(f"{USERS}/login", json={"email": email, "password": password})
    assert answer.status_code == 200, answer.text
    return Actor(client, answer.json()["user"], password, answer.json()["token"])


def verify(
    client: httpx.Client, payment: Mapping[str, Any], checkout: Mapping[str, Any], **changes: Any
) -> httpx.Response:
    """Send what the shop's page sends after Checkout."""
    body = {
        "razorpayOrderId": checkout["razorpay_order_id"],
        "razorpayPaymentId": checkout["razorpay_payment_id"],
        "razorpaySignature": checkout["razorpay_signature"],
        "referenceId": payment["referenceId"],
        **changes,
    }
    return client.post(f"{PAYMENTS}/verify", json=body)


def status(client: httpx.Client, payment: Mapping[str, Any]) -> Json:
    """Return what anyone with the reference sees."""
    answer = client.get(f"{PAYMENTS}/status/{payment['referenceId']}")
    assert answer.status_code == 200, answer.text
    return json_of(answer)


def request_refund(
    actor: Actor, payment: Json, amount: int | None = None, key: str = "", **more: Any
) -> httpx.Response:
    """Ask for a refund of a part, or of all that remains; the key is new unless given."""
    body = {"amount": amount, "idempotencyKey": key or unique("refund-"), **more}
    path = f"{PAYMENTS}/{payment['referenceId']}/refunds"
    return actor.call("POST", path, json={k: v for k, v in body.items() if v is not None})


def data_of(answer: httpx.Response) -> Json:
    """Return the `data` of an answer."""
    data: Json = answer.json()["data"]
    return data


def send_event(
    client: httpx.Client,
    name: str = "",
    *,
    body: bytes | None = None,
    event_id: str | None = None,
    secret: str = WEBHOOK_SECRET,
    **entities: Mapping[str, Any],
) -> httpx.Response:
    """Post a signed event, as the gateway does."""
    body = event_body(name, **entities) if body is None else body
    headers = event_headers(body, event_id, secret)
    return client.post(WEBHOOK_PATH, content=body, headers=headers)


def assert_problem(
    answer: httpx.Response, status_code: int, field: str | None = None, code: str | None = None
) -> Json:
    """Assert that the answer is this problem, in the form of RFC 9457; return its document."""
    assert answer.status_code == status_code, f"{answer.status_code}: {answer.text}"
    assert answer.headers["content-type"] == "application/problem+json"
    problem = json_of(answer)
    assert problem["status"] == status_code
    assert problem["title"]
    assert problem["detail"]
    assert problem["type"] == f"urn:kernapay:problem:{problem['code']}"
    assert problem["requestId"] == answer.headers["x-request-id"]
    if code is not None:
        assert problem["code"] == code
    if field is not None:
        assert field in [error["field"] for error in problem["errors"]], problem
    return problem
