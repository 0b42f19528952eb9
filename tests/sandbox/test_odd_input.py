"""Whatever comes in, it is answered, and never with a 500."""

import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.sandbox.box import Box

texts = st.text(max_size=40) | st.sampled_from(["\x00", "INR", "card", "100", "-1", "1e9", "٣"])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


def body_of(*names: str) -> st.SearchStrategy[dict[str, Any]]:
    """Bodies with some of the fields a call knows, filled with anything."""
    return st.dictionaries(st.sampled_from(names) | texts, values, max_size=5)


ORDER = ("amount", "currency", "receipt", "notes", "payment", "payment_capture", "partial_payment",
         "first_payment_min_amount", "unique_receipt")  # fmt: skip
PLAY = ("order_id", "method", "outcome", "amount", "card_number", "vpa", "bank", "reason", "email")
CALLS = {
    "/v1/orders": body_of(*ORDER),
    "/v1/payments/{payment}/capture": body_of("amount", "currency"),
    "/v1/payments/{payment}/refund": body_of("amount", "speed", "notes", "receipt"),
    "/v1/disputes/{dispute}/contest": body_of("amount", "summary", "action", "shipping_proof"),
    "/_sandbox/pay": body_of(*PLAY),
    "/_sandbox/orders": body_of(*ORDER),
    "/_sandbox/disputes": body_of("payment_id", "amount", "phase", "reason_code"),
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


def send(box: Box, method: str, path: str, **more: Any) -> int:
    answer = box.api.request(method, path, **more)
    assert answer.status_code < 500, (method, path, more, answer.text)
    if answer.status_code >= 400 and path.startswith(("/v1", "/_sandbox", "/checkout")):
        assert answer.json()["error"]["description"], (method, path, answer.text)
    return answer.status_code


@pytest.mark.parametrize("path", CALLS)
def test_odd_bodies_are_answered(box: Box, path: str) -> None:
    payment = box.paid()
    dispute = box.control("/disputes", payment_id=payment["id"], amount=100)
    order = box.order()
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
        assert send(box, method, target, content=text, headers={**json_type, **headers})

    check()


def test_odd_bytes_are_answered(box: Box) -> None:
    @relaxed
    @given(st.binary(max_size=80), st.sampled_from([*CALLS, "/_sandbox/snapshot"]), st.booleans())
    def check(body: bytes, path: str, form: bool) -> None:
        media = "application/x-www-form-urlencoded" if form else "application/json"
        path = path.format(payment="pay_KpSandbox00001", dispute="disp_KpSandbox00001")
        method = "PUT" if path.endswith("snapshot") else "POST"
        send(box, method, path, content=body, headers={"content-type": media})

    check()


def test_odd_queries_are_answered(box: Box) -> None:
    box.pay(box.order())
    paths = ("/v1/orders", "/v1/payments", "/v1/refunds", "/v1/settlements", "/v1/disputes",
             "/v1/settlements/recon/combined", "/_sandbox/deliveries", "/_sandbox/mailbox",
             "/checkout/session")  # fmt: skip

    @relaxed
    @given(
        st.sampled_from(paths),
        st.lists(st.tuples(st.sampled_from(QUERIES) | texts, texts | st.integers()), max_size=4),
    )
    def check(path: str, query: list[tuple[str, Any]]) -> None:
        pairs = [
            (quote(name, errors="replace"), quote(str(v), errors="replace")) for name, v in query
        ]
        send(box, "GET", f"{path}?" + "&".join(f"{name}={value}" for name, value in pairs))

    check()


def test_odd_ids_are_answered(box: Box) -> None:
    paths = ("/v1/orders/{}", "/v1/payments/{}/refunds", "/v1/refunds/{}", "/v1/disputes/{}/accept",
             "/_sandbox/webhooks/{}", "/_sandbox/deliveries/{}/resend", "/_sandbox/assets/{}")  # fmt: skip

    @relaxed
    @given(
        st.sampled_from(paths), st.text(min_size=1, max_size=30), st.sampled_from(["GET", "POST"])
    )
    def check(path: str, text: str, method: str) -> None:
        target = path.format(quote(text, safe="", errors="replace"))
        assert send(box, method, target) in {200, 400, 404, 405}

    check()


@pytest.mark.parametrize(
    "body", [b'{"amount": ' + b"[" * 5000, b"[" * 100_000, b'"' + b"x" * 11_000_000 + b'"']
)
def test_deep_and_huge_bodies_are_refused(box: Box, body: bytes) -> None:
    for path in ("/v1/orders", "/_sandbox/pay"):
        assert (
            send(box, "POST", path, content=body, headers={"content-type": "application/json"})
            == 400
        )
