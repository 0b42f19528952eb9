"""A good body for each route of the sandbox, and values that no client should send."""

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from tests.sandbox.linked_accounts import ACCOUNT, BANK, STAKEHOLDER
from tests.sandbox.sandbox_process import DAY, KEY, NEW_YEAR, SandboxProcess

SOON = NEW_YEAR + DAY
ADDRESS = "http://127.0.0.1:9/hook"
_NOTES = {"a": "b"}
_ORDER = {
    "amount": 50_000,
    "currency": "INR",
    "receipt": "r",
    "notes": _NOTES,
    "payment": {
        "capture": "automatic",
        "capture_options": {
            "automatic_expiry_period": 20,
            "manual_expiry_period": 30,
            "refund_speed": "normal",
        },
    },
    "partial_payment": False,
    "first_payment_min_amount": 100,
    "customer_id": "{customer_id}",
    "customer_details": {"name": "Asha", "email": "a@b.co", "shipping_address": {"city": "Pune"}},
    "method": "upi",
    "bank_account": {"account_number": "1234567890", "name": "Asha", "ifsc": "HDFC0000317"},
    "offer_id": "{offer_id}",
    "offers": ["{offer_id}"],
    "discount": True,
    "line_items": [{"sku": "1", "price": "1", "quantity": 1, "name": "Cup", "notes": {}}],
    "line_items_total": 50_000,
    "transfers": [{"account": "{account_id}", "amount": 100, "currency": "INR", "notes": _NOTES}],
}
_TRANSFER = {
    "account": "{account_id}",
    "amount": 100,
    "currency": "INR",
    "notes": _NOTES,
    "linked_account_notes": ["a"],
    "on_hold": True,
    "on_hold_until": 1_900_000_000,
}
_LINK = {
    "amount": 500,
    "currency": "INR",
    "accept_partial": True,
    "first_min_partial_amount": 100,
    "reference_id": "r1",
    "description": "d",
    "expire_by": SOON,
    "customer": {"name": "Asha", "email": "a@b.co", "contact": "+919000090000"},
    "notify": {"sms": True, "email": True},
    "reminder_enable": True,
    "callback_url": ADDRESS,
    "callback_method": "get",
    "notes": _NOTES,
    "options": {"checkout": {"name": "n"}},
}
_CUSTOMER = {
    "name": "Asha Rao",
    "email": "asha@example.com",
    "contact": "9000090001",
    "fail_existing": "0",
    "gstin": "29XAbbA4369J1PA",
    "notes": _NOTES,
}
_WEBHOOK = {
    "url": ADDRESS,
    "secret": "s",
    "events": {"order.paid": True},
    "active": True,
    "alert_email": "a@b.co",
}
_ENDPOINT = {"url": ADDRESS, "secret": "s", "events": ["order.paid"], "active": True}
_CHECKOUT = {
    "key_id": KEY[0],
    "order_id": "{order_id}",
    "amount": 50_000,
    "currency": "INR",
    "method": "card",
    "card_number": "4100280000001007",
    "card_name": "Asha",
    "vpa": "success@razorpay",
    "bank": "HDFC",
    "wallet": "airtelmoney",
    "email": "a@b.co",
    "contact": "9000090000",
    "description": "d",
    "notes": _NOTES,
}
_PAY = {
    "order_id": "{order_id}",
    "method": "card",
    "outcome": "failure",
    "amount": 50_000,
    "reason": "payment_failed",
    "card_number": "4100280000001007",
    "vpa": "success@razorpay",
    "bank": "HDFC",
    "wallet": "airtelmoney",
    "email": "a@b.co",
    "contact": "9000090000",
}
_DISPUTE = {
    "payment_id": "{payment_id}",
    "amount": 100,
    "phase": "chargeback",
    "reason_code": "r",
    "respond_by": 1_900_000_000,
    "deduct_at_onset": True,
}
_REFUND = {"amount": 100, "speed": "normal", "notes": _NOTES, "receipt": "r", "reverse_all": False}
_SETTLEMENT = {"amount": 100, "settle_full_balance": False, "description": "d", "notes": _NOTES}

BODIES: dict[str, Any] = {
    "POST /v1/orders": _ORDER,
    "PATCH /v1/orders/{order_id}": {"notes": _NOTES},
    "PATCH /v1/payments/{payment_id}": {"notes": _NOTES},
    "POST /v1/payments/{payment_id}/capture": {"amount": 50_000, "currency": "INR"},
    "POST /v1/payments/{payment_id}/refund": _REFUND,
    "POST /v1/payments/{payment_id}/transfers": {"transfers": [_TRANSFER]},
    "POST /v1/refunds": {"payment_id": "{payment_id}", **_REFUND},
    "PATCH /v1/refunds/{refund_id}": {"notes": _NOTES},
    "POST /v1/transfers": _TRANSFER,
    "PATCH /v1/transfers/{transfer_id}": {"on_hold": True, "on_hold_until": 1_900_000_000},
    "POST /v1/transfers/{transfer_id}/reversals": {"amount": 100, "notes": _NOTES},
    "POST /v1/customers": _CUSTOMER,
    "PUT /v1/customers/{customer_id}": {
        name: value for name, value in _CUSTOMER.items() if name != "fail_existing"
    },
    "POST /v1/payment_links": _LINK,
    "PATCH /v1/payment_links/{link_id}": {
        "reference_id": "r2",
        "expire_by": SOON,
        "notes": _NOTES,
        "accept_partial": True,
        "reminder_enable": False,
    },
    "POST /v1/payment_links/{link_id}/cancel": {},
    "POST /v1/payment_links/{link_id}/notify_by/{medium}": {},
    "POST /v1/plugins/segment": {"event": "e", "properties": {"a": 1}},
    "POST /v1/settlements/ondemand": _SETTLEMENT,
    "POST /v1/disputes/{dispute_id}/accept": {},
    "PATCH /v1/disputes/{dispute_id}/contest": {
        "amount": 100,
        "summary": "s",
        "shipping_proof": ["doc_KpSandbox00001"],
        "others": [{"type": "t", "document_ids": ["doc_KpSandbox00001"]}],
        "action": "draft",
    },
    "POST /v1/webhooks": _WEBHOOK,
    "PUT /v1/webhooks/{webhook_id}": _WEBHOOK,
    "POST /v1/checkout/embedded": {
        "key_id": KEY[0],
        "order_id": "{order_id}",
        "name": "n",
        "description": "d",
        "image": ADDRESS,
        "prefill": {"name": "n", "email": "a@b.co", "contact": "9000090000"},
        "notes": _NOTES,
        "callback_url": ADDRESS,
        "cancel_url": ADDRESS,
    },
    "POST /v2/accounts": {**ACCOUNT, "email": "new@example.com"},
    "PATCH /v2/accounts/{account_id}": {
        "phone": "9000090000",
        "legal_info": ACCOUNT["legal_info"],
        "profile": ACCOUNT["profile"],
        "contact_info": {
            "refund": {"email": "a@b.co", "phone": "9000090000", "policy_url": "a.co"}
        },
        "apps": {"websites": ["a.co"], "android": [{"url": "a.co", "name": "n"}]},
        "brand": {"color": "#FFFFFF"},
        "notes": _NOTES,
    },
    "POST /v2/accounts/{account_id}/stakeholders": STAKEHOLDER,
    "PATCH /v2/accounts/{account_id}/stakeholders/{stakeholder_id}": STAKEHOLDER,
    "POST /v2/accounts/{account_id}/products": {"product_name": "route", "tnc_accepted": True},
    "PATCH /v2/accounts/{account_id}/products/{product_id}": {
        "settlements": BANK,
        "tnc_accepted": True,
    },
    "POST /checkout/payments": _CHECKOUT,
    "POST /checkout/payments/{payment_id}/finish": {"key_id": KEY[0], "otp": "1234"},
    "POST /_sandbox/adjustments": {
        "type": "adjustment",
        "credit": 1,
        "debit": 0,
        "fee": 0,
        "tax": 0,
        "dispute_id": "{dispute_id}",
        "payment_id": "{payment_id}",
    },
    "POST /_sandbox/clock": {"advance": 1, "frozen": True, "now": 1_767_225_600, "reset": False},
    "POST /_sandbox/deliveries/{delivery_id}/resend": {},
    "POST /_sandbox/disputes": _DISPUTE,
    "POST /_sandbox/disputes/{dispute_id}/move": {"event": "under_review", "phase": "chargeback"},
    "POST /_sandbox/disputes/{dispute_id}/resolve": {"status": "won"},
    "POST /_sandbox/downtimes": {
        "method": "netbanking",
        "instrument": {"bank": "HDFC"},
        "severity": "high",
        "begin": 1_767_225_600,
        "end": 1_900_000_000,
        "fails_payments": True,
    },
    "POST /_sandbox/downtimes/{downtime_id}/resolve": {},
    "POST /_sandbox/downtimes/{downtime_id}/update": {"severity": "low"},
    # It strikes no call.
    "POST /_sandbox/faults": {
        "name": "webhook_delay",
        "times": 1,
        "route": "order.paid",
        "method": "POST",
        "probability": 0.5,
        "seed": 1,
        "options": {"seconds": 1},
    },
    "POST /_sandbox/keys/rotate": {"key_id": KEY[0], "keep_old_hours": 24},
    "POST /_sandbox/mailbox": {"channel": "email", "to": "a@b.co", "subject": "s", "text": "t"},
    "POST /_sandbox/offers": {
        "kind": "instant",
        "percent": 1,
        "method": "upi",
        "key_id": KEY[0],
    },
    "POST /_sandbox/orders": _ORDER,
    "POST /_sandbox/pay": _PAY,
    "POST /_sandbox/payments/{payment_id}/authorize": {},
    "POST /_sandbox/payments/{payment_id}/capture": {"amount": 50_000},
    "POST /_sandbox/payments/{payment_id}/refund": {"amount": 100},
    "POST /_sandbox/receiver/{name}": {"a": 1},
    "POST /_sandbox/reset": {},
    "POST /_sandbox/scenarios/{name}": {"order_id": "{order_id}"},
    "POST /_sandbox/settle": {"limit": 100, "status": "processed", "foreign_rows": "base"},
    "POST /_sandbox/settlements/{settlement_id}/process": {"status": "processed"},
    "PUT /_sandbox/snapshot": {},  # see fill
    "POST /_sandbox/webhooks": {**_ENDPOINT, "key_id": KEY[0]},
    "PATCH /_sandbox/webhooks/{endpoint_id}": _ENDPOINT,
    "POST /dev/bulkV2": {
        "numbers": "9000090000",
        "message": "m",
        "variables_values": "1|2",
        "route": "dlt",
    },
    "POST /v3/mail/send": {
        "personalizations": [{"to": [{"email": "a@b.co"}], "subject": "s"}],
        "from": {"email": "a@b.co"},
        "subject": "s",
        "content": [{"type": "text/plain", "value": "t"}],
    },
}
"""By method and path. `{…}` are ids of `fill`."""


def _nested(depth: int) -> Any:
    value: Any = "end"
    for level in range(depth):
        value = {"a": value} if level % 2 else [value]
    return value


# Texts that JSON cannot hold as they are stand for themselves: \ud800 is half a character.
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, 1e308, 2**63, 10**30),
    *("", " ", "\x00", "\ud800", "٣", "-1", "1e9", "'; --", "<b>", "\u202e", "a" * 3_000),
    *([], [[]], [None], [1, "a", {}], {}, {"0": 1}, {"": None}, {"\x00": "\ud800"}),
    _nested(60),
)
MEGABYTE = "a" * 1_000_000


def mutations(body: Any) -> Iterator[Any]:
    """Yield the body with each part of it replaced by each value."""
    for path in _paths(body):
        for value in VALUES:
            yield replace(body, path, value)


def _paths(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield at
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _paths(part, (*at, name))
    elif isinstance(value, list):
        for position, part in enumerate(value[:1]):
            yield from _paths(part, (*at, position))


def replace(body: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    copy = deepcopy(body)
    part = copy
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] = value
    return copy


def encode(body: Any) -> bytes:
    return json.dumps(body).encode()


# Some routes need another payment, account or settlement than the usual one.
OTHERS = {
    "POST /v1/payments/{payment_id}/capture": {"payment_id": "authorized"},
    "POST /_sandbox/payments/{payment_id}/capture": {"payment_id": "authorized"},
    "POST /_sandbox/payments/{payment_id}/authorize": {"payment_id": "failed"},
    "POST /checkout/payments/{payment_id}/finish": {"payment_id": "started"},
    "POST /_sandbox/settlements/{settlement_id}/process": {"settlement_id": "created"},
    "POST /v1/transfers/{transfer_id}/reversals": {"transfer_id": "unsettled"},
    "POST /v2/accounts/{account_id}/stakeholders": {"account_id": "bare"},
}


def fill(sandbox: SandboxProcess) -> dict[str, str]:
    """Make one of everything in an empty sandbox and return the ids."""
    sandbox.freeze_clock()
    webhook = sandbox.control("/webhooks", url=ADDRESS, secret="s")
    payment = sandbox.create_payment(method="card")
    payment_id = payment["id"]
    refund = sandbox.call("POST", f"/v1/payments/{payment_id}/refund", {"amount": 100})
    account = sandbox.call("POST", "/v2/accounts", ACCOUNT)
    root = f"/v2/accounts/{account['id']}"
    transfer = {"account": account["id"], "amount": 1_000, "currency": "INR"}
    made = sandbox.call("POST", "/v1/transfers", transfer)
    instant = sandbox.call("POST", "/v1/settlements/ondemand", {"amount": 1_000})
    settlement = sandbox.control("/settle", limit=1_000_000)["settlements"][0]
    sandbox.create_payment(method="upi")
    created = sandbox.control("/settle", status="created")["settlements"][0]
    for _ in range(3):
        sandbox.create_payment(method="upi")
    newest = sandbox.create_payment(method="card")
    unsettled = sandbox.call("POST", "/v1/transfers", transfer)
    authorized = sandbox.pay(sandbox.create_order(), outcome="authorized")
    unpaid = sandbox.create_order()
    start = {"key_id": KEY[0], "order_id": sandbox.create_order()["id"], "method": "card"}
    started = sandbox.anonymous.post("/checkout/payments", json=start).json()
    return {
        "order_id": unpaid["id"],
        "payment_id": newest["id"],
        "authorized": authorized["razorpay_payment_id"],
        "failed": sandbox.fail_payment(sandbox.create_order()),
        "started": started["payment_id"],
        "card_id": payment["card_id"],
        "refund_id": refund["id"],
        "transfer_id": made["id"],
        "unsettled": unsettled["id"],
        "customer_id": sandbox.call("POST", "/v1/customers", {"email": "b@b.co"})["id"],
        "link_id": sandbox.call("POST", "/v1/payment_links", {"amount": 500})["id"],
        "dispute_id": sandbox.control("/disputes", payment_id=payment_id, amount=100)["id"],
        "webhook_id": webhook["id"],
        "endpoint_id": webhook["id"],
        "account_id": account["id"],
        "bare": sandbox.call("POST", "/v2/accounts", {**ACCOUNT, "email": "bare@b.co"})["id"],
        "stakeholder_id": sandbox.call("POST", f"{root}/stakeholders", STAKEHOLDER)["id"],
        "product_id": sandbox.call("POST", f"{root}/products", {"product_name": "route"})["id"],
        "instant_id": instant["id"],
        "settlement_id": settlement["id"],
        "created": created["id"],
        "offer_id": sandbox.control("/offers", kind="cashback", amount=100)["id"],
        "downtime_id": sandbox.control("/downtimes", method="wallet")["id"],
        "delivery_id": sandbox.inspect("/deliveries")["items"][0]["id"],
        "fault_id": sandbox.arm_fault("webhook_drop", route="order.paid")["id"],
        "call_id": sandbox.inspect("/requests")["items"][0]["id"],
        "medium": "email",
        "name": "offer",
        "feature": "1",
        "mode": "1",
    }


def ids_for(route: str, ids: dict[str, str]) -> dict[str, str]:
    return {**ids, **{name: ids[other] for name, other in OTHERS.get(route, {}).items()}}


def with_ids(value: Any, ids: dict[str, str]) -> Any:
    """Return the value with the ids in place of their names."""
    text = json.dumps(value)
    for name, each in ids.items():
        text = text.replace(f"{{{name}}}", each)
    return json.loads(text)
