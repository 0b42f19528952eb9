"""Who may have whose objects: the design's table, for a second person of each role."""

from collections.abc import Callable
from typing import Any, NamedTuple

import httpx

from tests.actors import (
    ADMIN,
    CUSTOMERS,
    DELIVERIES,
    ENDPOINTS,
    EVENTS,
    EXPORTS,
    OUTGOING_EVENTS,
    PAYMENTS,
    REPORTS,
    SETTLEMENTS,
    USERS,
    Actor,
)
from tests.attacks.pairs import OwnedObjects
from tests.factories import payment_body, unique
from tests.money.disputes import DISPUTES
from tests.stack import WEBHOOK_PATH

Ask = Callable[[Actor, OwnedObjects], httpx.Response]


class Row(NamedTuple):
    route: str
    names: str
    """The parameters that name somebody else's object."""
    ask: Ask
    answers: str
    """The status for the second USER, PROVIDER, LAB_ASSISTANT and ADMIN: 2xx and 409 got past the guards."""
    hidden: bool = True
    """Whether who is refused must not learn that the object is there."""


def ask(
    method: str, path: str, json: Callable[[OwnedObjects], Any] | None = None, **options: Any
) -> Ask:
    def aimed(attacker: Actor, owned: OwnedObjects) -> httpx.Response:
        body = {} if json is None else {"json": json(owned)}
        params = options.get("params", lambda _: None)(owned)
        headers = options.get("headers", lambda _: {})(owned)
        where = path.format(**vars(owned), mine=attacker.id)
        return attacker.call(method, where, params=params, headers=headers, **body)

    return aimed


def link_of_another_file(attacker: Actor, owned: OwnedObjects) -> httpx.Response:
    """Ask for another person's file without the signature that its link has."""
    return attacker.call(
        "GET",
        f"/v1/api/files/{owned.file_name}",
        params={"expires": 9_999_999_999, "signature": "0" * 64},
    )


def proof(owned: OwnedObjects) -> dict[str, str]:
    return {
        "referenceId": owned.reference_id,
        "razorpayOrderId": owned.order_id,
        "razorpayPaymentId": owned.payment_id,
        "razorpaySignature": "0" * 64,
    }


def refund(owned: OwnedObjects) -> dict[str, Any]:
    return {"amount": 100, "idempotencyKey": owned.idempotency_key}


TABLE = [
    #                                                               USER PROVIDER LAB_ASSISTANT ADMIN
    Row(
        "GET /v1/api/payments/history/{user_id}",
        "user_id",
        ask("GET", f"{PAYMENTS}/history/{{user_id}}"),
        "403 403 403 200",
    ),
    Row(
        # Somebody else's payment as the place to go on from, in a list of one's own.
        "GET /v1/api/payments/history/{user_id}",
        "cursor",
        ask("GET", f"{PAYMENTS}/history/{{mine}}", params=lambda p: {"cursor": p.reference_id}),
        "200 200 200 200",
    ),
    Row(
        "POST /v1/api/payments/{reference_id}/check",
        "reference_id",
        ask("POST", f"{PAYMENTS}/{{reference_id}}/check"),
        "403 403 200 200",
    ),
    Row(
        "GET /v1/api/payments/{reference_id}/story",
        "reference_id",
        ask("GET", f"{PAYMENTS}/{{reference_id}}/story"),
        "403 404 200 200",
    ),
    Row(
        "GET /v1/api/payments/{reference_id}/gateway-calls",
        "reference_id",
        ask("GET", f"{PAYMENTS}/{{reference_id}}/gateway-calls"),
        "403 403 403 200",
    ),
    *(
        Row(
            f"GET /v1/api/statements/{{provider_id}}/{{month}}{more}",
            "provider_id month",
            ask("GET", f"/v1/api/statements/{{user_id}}/2026-04{more}"),
            "403 403 403 200",
        )
        for more in ("", "/file")
    ),
    Row(
        "GET /v1/api/payments",
        "userId",
        ask("GET", PAYMENTS, params=lambda p: {"userId": p.user_id}),
        "403 403 403 200",
    ),
    Row(
        # Somebody else's payment as the place to go on from, and a provider as a filter: in a list of one's own.
        "GET /v1/api/payments",
        "cursor providerId",
        ask(
            "GET",
            PAYMENTS,
            params=lambda p: {"cursor": p.reference_id, "providerId": p.user_id},
        ),
        "200 200 200 200",
    ),
    Row(
        "GET /v1/api/payments/totals",
        "userId",
        ask(
            "GET",
            f"{PAYMENTS}/totals",
            params=lambda p: {"from": "2026-01-01", "to": "2026-02-01", "userId": p.user_id},
        ),
        "403 403 403 200",
    ),
    Row(
        # A provider as a filter: what is added up is one's own.
        "GET /v1/api/payments/totals",
        "providerId",
        ask(
            "GET",
            f"{PAYMENTS}/totals",
            params=lambda p: {"from": "2026-01-01", "to": "2026-02-01", "providerId": p.user_id},
        ),
        "200 200 200 200",
    ),
    Row(
        # Somebody else's customer as the place to go on from, in a list of one's own.
        "GET /v1/api/customers",
        "cursor",
        ask("GET", CUSTOMERS, params=lambda p: {"cursor": p.customer_id}),
        "404 403 403 200",
    ),
    Row(
        "GET /v1/api/customers/{customer_id}",
        "customer_id",
        ask("GET", f"{CUSTOMERS}/{{customer_id}}"),
        "404 403 403 200",
    ),
    Row(
        "GET /v1/api/customers/{customer_id}/payments",
        "customer_id cursor providerId userId",
        ask(
            "GET",
            f"{CUSTOMERS}/{{customer_id}}/payments",
            params=lambda p: {
                "cursor": p.reference_id,
                "providerId": p.user_id,
                "userId": p.user_id,
            },
        ),
        "404 404 404 200",
    ),
    Row(
        "PATCH /v1/api/customers/{customer_id}",
        "customer_id",
        ask("PATCH", f"{CUSTOMERS}/{{customer_id}}", lambda p: {"name": "Mine"}),
        "404 403 403 200",
    ),
    Row(
        # An administrator gets as far as learning that it is the same one twice.
        "POST /v1/api/customers/{customer_id}/merge",
        "customer_id",
        ask("POST", f"{CUSTOMERS}/{{customer_id}}/merge", lambda p: {"into": p.customer_id}),
        "404 403 403 400",
        hidden=False,
    ),
    Row(
        "POST /v1/api/customers/{customer_id}/grant",
        "customer_id accountId",
        ask("POST", f"{CUSTOMERS}/{{customer_id}}/grant", lambda p: {"accountId": p.user_id}),
        "404 403 403 409",
    ),
    Row(
        "DELETE /v1/api/customers/{customer_id}/grant",
        "customer_id",
        ask("DELETE", f"{CUSTOMERS}/{{customer_id}}/grant"),
        "404 403 403 200",
    ),
    Row(
        # Whether their own address is the buyer's is all that anybody could ask. That of staff is verified.
        "POST /v1/api/payments/{reference_id}/claim",
        "reference_id",
        ask("POST", f"{PAYMENTS}/{{reference_id}}/claim"),
        "403 403 404 404",
    ),
    Row(
        "DELETE /v1/api/customers/{customer_id}",
        "customer_id",
        ask("DELETE", f"{CUSTOMERS}/{{customer_id}}"),
        "404 403 403 200",
    ),
    Row(
        "GET /v1/api/payments/received",
        "cursor",
        ask("GET", f"{PAYMENTS}/received", params=lambda p: {"cursor": p.reference_id}),
        "403 200 403 403",
    ),
    Row(
        "GET /v1/api/payments/{reference_id}",
        "reference_id",
        ask("GET", f"{PAYMENTS}/{{reference_id}}"),
        "404 404 200 200",
    ),
    Row(
        "GET /v1/api/payments/{reference_id}/receipt",
        "reference_id",
        ask("GET", f"{PAYMENTS}/{{reference_id}}/receipt"),
        "404 404 200 200",
    ),
    Row(
        "POST /v1/api/payments/{reference_id}/receipt",
        "reference_id",
        ask("POST", f"{PAYMENTS}/{{reference_id}}/receipt"),
        "404 404 200 200",
    ),
    Row(
        "GET /v1/api/payments/{reference_id}/refunds/{refund_id}/note",
        "reference_id refund_id",
        ask("GET", f"{PAYMENTS}/{{reference_id}}/refunds/{{refund_id}}/note"),
        "404 404 200 200",
    ),
    Row(
        "POST /v1/api/payments/{reference_id}/refunds",
        "reference_id idempotencyKey",
        ask("POST", f"{PAYMENTS}/{{reference_id}}/refunds", refund),
        "403 404 403 201",
    ),
    Row(
        "POST /v1/api/payments/{reference_id}/refunds",
        "Idempotency-Key",
        ask(
            "POST",
            f"{PAYMENTS}/{{reference_id}}/refunds",
            lambda p: {"amount": 100},
            headers=lambda p: {"Idempotency-Key": p.idempotency_key},
        ),
        "403 404 403 200",
    ),
    Row(
        "POST /v1/api/payments/{reference_id}/capture",
        "reference_id",
        ask("POST", f"{PAYMENTS}/{{reference_id}}/capture"),
        "403 403 403 409",
    ),
    Row(
        "POST /v1/api/payments/{reference_id}/cancel",
        "reference_id",
        ask("POST", f"{PAYMENTS}/{{reference_id}}/cancel"),
        "404 404 403 409",
    ),
    Row(
        "GET /v1/api/disputes/{dispute_id}",
        "dispute_id",
        ask("GET", f"{DISPUTES}/{{dispute_id}}"),
        "403 404 200 200",
    ),
    Row(
        "GET /v1/api/disputes",
        "cursor",
        ask("GET", DISPUTES, params=lambda p: {"cursor": p.dispute_id}),
        "403 404 200 200",
    ),
    Row(
        # Somebody else's endpoint as the place to go on from, in a list of one's own.
        "GET /v1/api/endpoints",
        "cursor",
        ask("GET", ENDPOINTS, params=lambda p: {"cursor": p.endpoint_id}),
        "200 403 403 200",
    ),
    Row(
        "GET /v1/api/endpoints/{endpoint_id}",
        "endpoint_id",
        ask("GET", f"{ENDPOINTS}/{{endpoint_id}}"),
        "404 403 403 200",
    ),
    Row(
        "PUT /v1/api/endpoints/{endpoint_id}",
        "endpoint_id",
        ask("PUT", f"{ENDPOINTS}/{{endpoint_id}}", lambda p: {"url": "https://1.1.1.1/mine"}),
        "404 403 403 200",
    ),
    Row(
        "POST /v1/api/endpoints/{endpoint_id}/rotate",
        "endpoint_id",
        ask("POST", f"{ENDPOINTS}/{{endpoint_id}}/rotate", lambda p: {}),
        "404 403 403 200",
    ),
    Row(
        "POST /v1/api/endpoints/{endpoint_id}/test",
        "endpoint_id",
        ask("POST", f"{ENDPOINTS}/{{endpoint_id}}/test"),
        "404 403 403 202",
    ),
    Row(
        "POST /v1/api/endpoints/{endpoint_id}/replay",
        "endpoint_id",
        ask(
            "POST",
            f"{ENDPOINTS}/{{endpoint_id}}/replay",
            lambda p: {"only": "all", "from": "2026-01-01T00:00:00Z"},
        ),
        "404 403 403 200",
    ),
    Row(
        "GET /v1/api/deliveries",
        "endpointId",
        ask("GET", DELIVERIES, params=lambda p: {"endpointId": p.endpoint_id}),
        "404 403 403 200",
    ),
    Row(
        "GET /v1/api/deliveries",
        "cursor",
        ask(
            "GET",
            DELIVERIES,
            params=lambda p: {"endpointId": p.endpoint_id, "cursor": p.delivery_id},
        ),
        "404 403 403 200",
    ),
    Row(
        "GET /v1/api/deliveries/{delivery_id}",
        "delivery_id",
        ask("GET", f"{DELIVERIES}/{{delivery_id}}"),
        "404 403 403 200",
    ),
    Row(
        "POST /v1/api/deliveries/{delivery_id}/resend",
        "delivery_id",
        ask("POST", f"{DELIVERIES}/{{delivery_id}}/resend"),
        "404 403 403 200",
    ),
    Row(
        "GET /v1/api/events",
        "cursor",
        ask("GET", OUTGOING_EVENTS, params=lambda p: {"cursor": p.outgoing_event_id}),
        "404 403 403 200",
    ),
    Row(
        "GET /v1/api/events/{event_id}",
        "event_id",
        ask("GET", f"{OUTGOING_EVENTS}/{{outgoing_event_id}}"),
        "404 403 403 200",
    ),
    Row(
        "POST /v1/api/endpoints/{endpoint_id}/disable",
        "endpoint_id",
        ask("POST", f"{ENDPOINTS}/{{endpoint_id}}/disable"),
        "404 403 403 200",
    ),
    Row(
        "POST /v1/api/endpoints/{endpoint_id}/enable",
        "endpoint_id",
        ask("POST", f"{ENDPOINTS}/{{endpoint_id}}/enable"),
        "404 403 403 200",
    ),
    Row(
        "DELETE /v1/api/endpoints/{endpoint_id}",
        "endpoint_id",
        ask("DELETE", f"{ENDPOINTS}/{{endpoint_id}}"),
        "404 403 403 200",
    ),
    Row(
        # Public: the link itself is the secret.
        "GET /v1/api/checkout/{token}",
        "token",
        ask("GET", "/v1/api/checkout/{token}"),
        "200 200 200 200",
    ),
    Row(
        # Public: the reference itself is the secret.
        "GET /v1/api/payments/status/{reference_id}",
        "reference_id",
        ask("GET", f"{PAYMENTS}/status/{{reference_id}}"),
        "200 200 200 200",
    ),
    Row(
        # As with `status`. Who may not read the payment gets the same without its details.
        "GET /v1/api/payments/{reference_id}/events",
        "reference_id",
        ask("GET", f"{PAYMENTS}/{{reference_id}}/events"),
        "200 200 200 200",
    ),
    Row(
        # The id of an event of this payment, or of another one: what came after it, and then nothing.
        "GET /v1/api/payments/{reference_id}/events",
        "Last-Event-ID",
        ask(
            "GET",
            f"{PAYMENTS}/{{reference_id}}/events",
            headers=lambda p: {"Last-Event-ID": p.event_id},
        ),
        "200 200 200 200",
    ),
    Row(
        # As is said by `status` to whoever has the reference: the payment is there.
        "POST /v1/api/payments/verify",
        "referenceId razorpayOrderId razorpayPaymentId",
        ask("POST", f"{PAYMENTS}/verify", proof),
        "400 400 400 400",
        hidden=False,
    ),
    Row(
        # Whose key it was: the attacker gets a payment of their own.
        "POST /v1/api/payments/create",
        "idempotencyKey",
        ask(
            "POST",
            f"{PAYMENTS}/create",
            lambda p: payment_body(idempotencyKey=p.idempotency_key),
        ),
        "201 403 403 201",
    ),
    Row(
        # A person has no customers; what a shop's key gets is tried beside the customers.
        "POST /v1/api/payments/create",
        "customerId",
        ask("POST", f"{PAYMENTS}/create", lambda p: payment_body(customerId=p.customer_id)),
        "403 403 403 403",
    ),
    Row(
        # Only a provider's account can be paid. The id of no account is a label.
        "POST /v1/api/payments/create",
        "providerId",
        ask("POST", f"{PAYMENTS}/create", lambda p: payment_body(providerId=p.user_id)),
        "400 403 403 400",
        hidden=False,
    ),
    Row(
        "POST /v1/api/payments/create",
        "Idempotency-Key",
        ask(
            "POST",
            f"{PAYMENTS}/create",
            lambda p: {"amount": 100, "currency": "INR", "serviceType": "CONSULTATION"},
            headers=lambda p: {"Idempotency-Key": f"{p.idempotency_key}."},
        ),
        "201 403 403 201",
    ),
    Row(
        # Not signed: whether the event is known is not said.
        "POST /v1/api/payments/webhook",
        "X-Razorpay-Event-Id",
        ask(
            "POST",
            WEBHOOK_PATH,
            lambda p: {},
            headers=lambda p: {"X-Razorpay-Event-Id": p.event_id},
        ),
        "401 401 401 401",
    ),
    Row(
        "DELETE /v1/api/users/sessions/{session_id}",
        "session_id",
        ask("DELETE", f"{USERS}/sessions/{{session_id}}"),
        "404 404 404 404",
    ),
    Row("GET /v1/api/files/{name}", "name", link_of_another_file, "403 403 403 403"),
    Row(
        "GET /v1/api/admin/users/{user_id}",
        "user_id",
        ask("GET", f"{ADMIN}/users/{{user_id}}"),
        "403 403 403 200",
    ),
    Row(
        "POST /v1/api/admin/api-keys/{key_id}/adopt",
        "key_id",
        ask("POST", f"{ADMIN}/api-keys/{{key_id}}/adopt"),
        "403 403 403 200",
    ),
    Row(
        "POST /v1/api/admin/users/{user_id}/activate",
        "user_id",
        ask("POST", f"{ADMIN}/users/{{user_id}}/activate"),
        "403 403 403 200",
    ),
    Row(
        # Another administrator is no provider.
        "POST /v1/api/admin/users/{user_id}/approve",
        "user_id",
        ask("POST", f"{ADMIN}/users/{{user_id}}/approve"),
        "403 403 403 409",
    ),
    Row(
        "POST /v1/api/admin/users/{user_id}/revoke-approval",
        "user_id",
        ask("POST", f"{ADMIN}/users/{{user_id}}/revoke-approval"),
        "403 403 403 200",
    ),
    Row(
        "PUT /v1/api/admin/users/{user_id}/role",
        "user_id",
        ask("PUT", f"{ADMIN}/users/{{user_id}}/role", lambda p: {"role": "ADMIN"}),
        "403 403 403 200",
    ),
    Row(
        "POST /v1/api/admin/users/{user_id}/deactivate",
        "user_id",
        ask("POST", f"{ADMIN}/users/{{user_id}}/deactivate"),
        "403 403 403 200",
    ),
    Row(
        "POST /v1/api/admin/users/{user_id}/erase",
        "user_id",
        ask("POST", f"{ADMIN}/users/{{user_id}}/erase"),
        "403 403 403 200",
    ),
    Row(
        # Not even for another administrator: one would act under the other's name.
        "POST /v1/api/admin/api-keys",
        "userId",
        ask(
            "POST",
            f"{ADMIN}/api-keys",
            lambda p: {"name": unique("Till "), "role": "USER", "userId": p.user_id},
        ),
        "403 403 403 400",
    ),
    Row(
        "DELETE /v1/api/admin/api-keys/{key_id}",
        "key_id",
        ask("DELETE", f"{ADMIN}/api-keys/{{key_id}}"),
        "403 403 403 200",
    ),
    Row(
        "GET /v1/api/admin/audit",
        "actor target",
        ask(
            "GET",
            f"{ADMIN}/audit",
            params=lambda p: {"actor": p.user_id, "target": f"user:{p.user_id}"},
        ),
        "403 403 403 200",
    ),
    Row(
        "GET /v1/api/webhooks/events/{event_id}",
        "event_id",
        ask("GET", f"{EVENTS}/{{event_id}}"),
        "403 403 403 200",
    ),
    Row(
        "POST /v1/api/webhooks/events/{event_id}/replay",
        "event_id",
        ask("POST", f"{EVENTS}/{{event_id}}/replay"),
        "403 403 403 200",
    ),
    Row(
        "GET /v1/api/reconciliation/reports/{report_id}",
        "report_id",
        ask("GET", f"{REPORTS}/{{report_id}}"),
        "403 403 403 200",
    ),
    Row(
        "POST /v1/api/reconciliation/reports/{report_id}/findings/{finding_id}/repair",
        "report_id finding_id",
        ask("POST", f"{REPORTS}/{{report_id}}/findings/{{finding_id}}/repair"),
        "403 403 403 200",
    ),
    Row(
        "GET /v1/api/exports/{export_id}",
        "export_id",
        ask("GET", f"{EXPORTS}/{{export_id}}"),
        "403 403 403 200",
    ),
    Row(
        "POST /v1/api/exports/{export_id}/link",
        "export_id",
        ask("POST", f"{EXPORTS}/{{export_id}}/link"),
        "403 403 403 201",
    ),
    Row(
        "GET /v1/api/settlements",
        "cursor",
        ask("GET", SETTLEMENTS, params=lambda p: {"cursor": p.settlement_id}),
        "403 403 403 200",
    ),
    Row(
        "GET /v1/api/settlements/{settlement_id}",
        "settlement_id",
        ask("GET", f"{SETTLEMENTS}/{{settlement_id}}"),
        "403 403 403 200",
    ),
]
