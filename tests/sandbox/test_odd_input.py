"""Every request gets a response, and none a 500."""

import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.sandbox.sandbox_process import SandboxProcess

pytestmark = pytest.mark.long

texts = st.text(max_size=40) | st.sampled_from(["\x00", "INR", "card", "100", "-1", "1e9", "٣"])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


def body_of(*names: str) -> st.SearchStrategy[dict[str, Any]]:
    """Generate bodies with some of the fields that a call knows and any values."""
    return st.dictionaries(st.sampled_from(names) | texts, values, max_size=5)


ORDER = ("amount", "currency", "receipt", "notes", "payment", "payment_capture", "partial_payment",
         "first_payment_min_amount", "unique_receipt", "app_offer", "customer_details", "customer_id", "method",
         "bank_account", "token", "offer_id", "offers", "line_items", "line_items_total", "transfers")  # fmt: skip
TRANSFER = (
    "account",
    "amount",
    "currency",
    "notes",
    "linked_account_notes",
    "on_hold",
    "on_hold_until",
)
SIMULATED_PAYMENT = (
    "order_id",
    "method",
    "outcome",
    "amount",
    "card_number",
    "vpa",
    "bank",
    "reason",
    "email",
)
CALLS = {
    "/v1/orders": body_of(*ORDER),
    "/v1/customers": body_of("name", "email", "contact", "fail_existing", "notes", "gstin"),
    "/v1/payment_links": body_of(
        *("amount", "customer", "notify", "expire_by", "reference_id", "callback_url", "upi_link")
    ),
    "/v1/webhooks": body_of("url", "secret", "events", "active", "alert_email"),
    "/v1/settlements/ondemand": body_of("amount", "settle_full_balance", "description"),
    "/v1/checkout/embedded": body_of("key_id", "order_id", "callback_url", "prefill", "notes"),
    "/v1/payments/{payment}/capture": body_of("amount", "currency"),
    "/v1/payments/{payment}/refund": body_of("amount", "speed", "notes", "receipt", "reverse_all"),
    "/v1/payments/{payment}/transfers": st.fixed_dictionaries(
        {"transfers": st.lists(body_of(*TRANSFER), max_size=2) | values}
    ),
    "/v1/transfers": body_of(*TRANSFER),
    "/v1/disputes/{dispute}/contest": body_of("amount", "summary", "action", "shipping_proof"),
    "/_sandbox/pay": body_of(*SIMULATED_PAYMENT),
    "/_sandbox/orders": body_of(*ORDER),
    "/_sandbox/disputes": body_of(
        *("payment_id", "amount", "phase", "reason_code", "respond_by", "deduct_at_onset")
    ),
    "/_sandbox/disputes/{dispute}/move": body_of("event", "phase"),
    "/_sandbox/offers": body_of("kind", "amount", "percent", "method", "key_id"),
    "/_sandbox/downtimes": body_of("method", "instrument", "severity", "begin", "end"),
    "/_sandbox/webhooks": body_of("url", "secret", "events", "active", "key_id"),
    "/_sandbox/clock": body_of("now", "advance", "frozen"),
    "/_sandbox/mailbox": body_of("channel", "to", "subject", "text"),
    "/checkout/payments": body_of("key_id", "order_id", "amount", "currency", "method", "notes"),
    "/v3/mail/send": body_of("personalizations", "from", "subject", "content"),
    "/dev/bulkV2": body_of("numbers", "message", "variables_values", "route"),
}
QUERIES = ("count", "skip", "from", "to", "expand[]", "expand", "receipt", "authorized", "year",
           "month", "day")  # fmt: skip
relaxed = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def send(sandbox: SandboxProcess, method: str, path: str, **options: Any) -> int:
    response = sandbox.api.request(method, path, **options)
    assert response.status_code < 500, (method, path, options, response.text)
    if response.status_code >= 400 and path.startswith(("/v1", "/_sandbox", "/checkout")):
        assert response.json()["error"]["description"], (method, path, response.text)
    return response.status_code


@pytest.mark.parametrize("path", CALLS)
def test_no_body_makes_a_500(sandbox: SandboxProcess, path: str) -> None:
    payment = sandbox.create_payment()
    dispute = sandbox.control("/disputes", payment_id=payment["id"], amount=100)
    order = sandbox.create_order()
    target = path.format(payment=payment["id"], dispute=dispute["id"])
    method = "PATCH" if path.endswith("contest") else "POST"
    headers = {} if path.startswith("/v1/") else {"authorization": "Bearer x"}

    @relaxed
    @given(CALLS[path])
    def check(body: dict[str, Any]) -> None:
        if path.endswith("/pay"):
            body = {"order_id": order["id"], **body}
        if path == "/checkout/payments":
            body = {"key_id": "rzp_test_kernapay", **body}
        text = json.dumps(body).encode("utf-8", "surrogatepass")
        json_type = {"content-type": "application/json"}
        assert send(sandbox, method, target, content=text, headers={**json_type, **headers})

    check()


def test_no_bytes_make_a_500(sandbox: SandboxProcess) -> None:
    @relaxed
    @given(st.binary(max_size=80), st.sampled_from([*CALLS, "/_sandbox/snapshot"]), st.booleans())
    def check(body: bytes, path: str, form: bool) -> None:
        media = "application/x-www-form-urlencoded" if form else "application/json"
        path = path.format(payment="pay_KpSandbox00001", dispute="disp_KpSandbox00001")
        method = "PUT" if path.endswith("snapshot") else "POST"
        send(sandbox, method, path, content=body, headers={"content-type": media})

    check()


def test_no_query_makes_a_500(sandbox: SandboxProcess) -> None:
    sandbox.pay(sandbox.create_order())
    paths = ("/v1/orders", "/v1/payments", "/v1/refunds", "/v1/settlements", "/v1/disputes",
             "/v1/settlements/recon/combined", "/_sandbox/deliveries", "/_sandbox/mailbox",
             "/checkout/session", "/v1/customers", "/v1/payment_links", "/v1/preferences", "/v1/webhooks",
             "/v1/settlements/ondemand", "/v1/payments/downtimes")  # fmt: skip

    @relaxed
    @given(
        st.sampled_from(paths),
        st.lists(st.tuples(st.sampled_from(QUERIES) | texts, texts | st.integers()), max_size=4),
    )
    def check(path: str, query: list[tuple[str, Any]]) -> None:
        pairs = [
            (quote(name, errors="replace"), quote(str(v), errors="replace")) for name, v in query
        ]
        send(sandbox, "GET", f"{path}?" + "&".join(f"{name}={value}" for name, value in pairs))

    check()


def test_no_number_of_rows_to_skip_makes_a_500(sandbox: SandboxProcess) -> None:
    for skip in (2**63 - 1, 10**19 - 1):
        for path in (
            "/v1/orders?skip=",
            "/v1/payment_links?skip=",
            "/_sandbox/overview?orders_skip=",
        ):
            send(sandbox, "GET", f"{path}{skip}")


def test_no_id_makes_a_500(sandbox: SandboxProcess) -> None:
    paths = ("/v1/orders/{}", "/v1/payments/{}/refunds", "/v1/refunds/{}", "/v1/disputes/{}/accept",
             "/_sandbox/webhooks/{}", "/l/{}", "/v1/customers/{}", "/v1/payments/downtimes/{}",
             "/_sandbox/deliveries/{}/resend", "/_sandbox/assets/{}")  # fmt: skip

    @relaxed
    @given(
        st.sampled_from(paths), st.text(min_size=1, max_size=30), st.sampled_from(["GET", "POST"])
    )
    def check(path: str, text: str, method: str) -> None:
        target = path.format(quote(text, safe="", errors="replace"))
        assert send(sandbox, method, target) in {200, 400, 404, 405}

    check()


@pytest.mark.parametrize(
    "body", [b'{"amount": ' + b"[" * 5000, b"[" * 100_000, b'"' + b"x" * 11_000_000 + b'"']
)
def test_deep_and_huge_bodies_are_refused(sandbox: SandboxProcess, body: bytes) -> None:
    for path in ("/v1/orders", "/_sandbox/pay"):
        assert (
            send(sandbox, "POST", path, content=body, headers={"content-type": "application/json"})
            == 400
        )
