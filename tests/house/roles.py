"""Who may do what: the design's table, and the people who try it."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import httpx

from kernapay.security.principal import Role
from tests.actors import (
    ADMIN,
    CONSOLE_SESSION,
    CUSTOMERS,
    DELIVERIES,
    ENDPOINTS,
    EVENTS,
    EXPORTS,
    INSIGHTS,
    OUTGOING_EVENTS,
    PAYMENTS,
    REPORTS,
    SETTLEMENTS,
    USERS,
    VERIFICATION,
    Actor,
    People,
    request_refund,
    send_event,
)
from tests.factories import PASSWORD, new_email, payment_body, sign_up_body, unique
from tests.money.disputes import DISPUTES, invented, tell
from tests.stack import WEBHOOK_PATH, Sandbox

CALLERS = ("anonymous", *Role)
MONTH = "from=2026-01-01&to=2026-02-01"


class Anonymous:
    """Somebody without a token."""

    id = "0" * 24
    email = ""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        return self.client.request(method, path, **options)

    def device(self) -> "Anonymous":
        return self


Caller = Actor | Anonymous


@dataclass
class World:
    """One caller of each kind, and the payments of somebody else."""

    callers: Mapping[str, Caller]
    owner: Actor
    checkout: Mapping[str, Any]
    paid_to_caller: str
    """The reference of a payment whose provider is the calling PROVIDER."""
    of_strangers: str
    """The reference of a payment between two people who do not call."""
    own: Mapping[str, str]
    """The references of the payments that callers made themselves."""
    dispute_of_caller: str
    """The id of a dispute about a payment whose provider is the calling PROVIDER."""
    dispute_of_strangers: str
    link: str
    """The end of a link to the payment of strangers."""
    refund: str
    """The id of a refund of the payment of strangers."""
    paper: str
    """The code of the receipt of that payment."""
    endpoint: str
    """The id of the owner's endpoint."""
    delivery: str
    customer: str
    """The id of the owner's customer."""


def set_up_world(people: People, sandbox: Sandbox) -> World:
    callers: dict[str, Caller] = {"anonymous": Anonymous(people.client)}
    actors: dict[str, Actor] = {
        role: people.new(role, approved=role is Role.PROVIDER) for role in Role
    }
    callers |= actors
    owner = people.new("USER")
    to_caller, checkout = owner.buy(sandbox, providerId=actors["PROVIDER"].id)
    of_strangers, paid = owner.buy(sandbox, checkout=True)
    disputes = [invented(each["razorpay_payment_id"], amount=100) for each in (checkout, paid)]
    for each in disputes:
        tell(people.client, "created", each)
    own = {str(role): actors[role].new_payment()["referenceId"] for role in (Role.USER, Role.ADMIN)}
    references = (to_caller["referenceId"], of_strangers["referenceId"])
    proof = {
        "razorpayOrderId": checkout["razorpay_order_id"],
        "razorpayPaymentId": checkout["razorpay_payment_id"],
        "razorpaySignature": checkout["razorpay_signature"],
        "referenceId": references[0],
    }
    ids = (each["id"] for each in disputes)
    refund = request_refund(actors["ADMIN"], of_strangers, 100)
    page = owner.call("GET", f"{PAYMENTS}/{references[1]}/receipt?format=html")
    endpoint = owner.new_endpoint()
    delivery_id = owner.new_delivery(endpoint)
    return World(
        callers,
        owner,
        proof,
        *references,
        own,
        dispute_of_caller=next(ids),
        dispute_of_strangers=next(ids),
        link=of_strangers["checkoutUrl"].rpartition("/")[2],
        refund=refund.json()["data"]["refundId"],
        paper=re.findall(r"/r/check/([\w-]{22})", page.text)[0],
        endpoint=endpoint["_id"],
        delivery=delivery_id,
        customer=owner.new_customer(actors["ADMIN"]),
    )


Ask = Callable[[World, Caller], httpx.Response]


class Row(NamedTuple):
    route: str
    what: str
    ask: Ask
    answers: str
    """The status for each of CALLERS, in their order; `-` where there is no such case."""


def get(path: str) -> Ask:
    return lambda world, caller: caller.call("GET", path)


def post(path: str, body: Callable[[], Any]) -> Ask:
    return lambda world, caller: caller.call("POST", path, json=body())


def history(of: Callable[[World, Caller], str]) -> Ask:
    return lambda world, caller: caller.call("GET", f"{PAYMENTS}/history/{of(world, caller)}")


def statement(of: Callable[[World, Caller], str], more: str) -> Ask:
    def ask(world: World, caller: Caller) -> httpx.Response:
        return caller.call("GET", f"/v1/api/statements/{of(world, caller)}/2026-04{more}")

    return ask


def show(which: Callable[[World, str], str]) -> Ask:
    def ask(world: World, caller: Caller) -> httpx.Response:
        role = next(name for name, known in world.callers.items() if known is caller)
        return caller.call("GET", f"{PAYMENTS}/{which(world, role)}")

    return ask


def refund(which: Callable[[World], str]) -> Ask:
    return lambda world, caller: caller.call(
        "POST",
        f"{PAYMENTS}/{which(world)}/refunds",
        json={"amount": 100, "idempotencyKey": unique("refund-")},
    )


def dispute(which: Callable[[World], str]) -> Ask:
    return lambda world, caller: caller.call("GET", f"{DISPUTES}/{which(world)}")


def endpoint(method: str, path: str = "", body: Any = None) -> Ask:
    """Ask about the endpoint of the owner, whom only administrators may act for."""
    sent = {} if body is None else {"json": body}
    return lambda world, caller: caller.call(method, f"{ENDPOINTS}/{world.endpoint}{path}", **sent)


def delivery(method: str, path: str = "") -> Ask:
    return lambda world, caller: caller.call(method, f"{DELIVERIES}/{world.delivery}{path}")


def customer(method: str, path: str = "", body: Any = None) -> Ask:
    """Ask about the customer of the owner, whom only administrators may act for."""
    sent = {} if body is None else {"json": body}
    return lambda world, caller: caller.call(method, f"{CUSTOMERS}/{world.customer}{path}", **sent)


def receipt(method: str, which: Callable[[World], str]) -> Ask:
    return lambda world, caller: caller.call(method, f"{PAYMENTS}/{which(world)}/receipt")


TABLE = [
    #                                                 anonymous USER PROVIDER LAB_ASSISTANT ADMIN
    Row(
        "POST /v1/api/users/signup",
        "",
        post(f"{USERS}/signup", sign_up_body),
        "201 201 201 201 201",
    ),
    Row(
        "POST /v1/api/users/login",
        "with a password",
        lambda world, caller: caller.call(
            "POST", f"{USERS}/login", json={"email": world.owner.email, "password": PASSWORD}
        ),
        "200 200 200 200 200",
    ),
    Row(
        "POST /v1/api/users/login",
        "to no account",
        post(f"{USERS}/login", lambda: {"email": new_email(), "password": PASSWORD}),
        "401 401 401 401 401",
    ),
    Row("GET /v1/api/users/profile", "", get(f"{USERS}/profile"), "401 200 200 200 200"),
    Row(
        "PUT /v1/api/users/update",
        "",
        lambda world, caller: caller.call("PUT", f"{USERS}/update", json={"name": "Asha R."}),
        "401 200 200 200 200",
    ),
    Row(
        "POST /v1/api/users/logout",
        "",
        lambda world, caller: caller.device().call("POST", f"{USERS}/logout"),
        "401 200 200 200 200",
    ),
    # Without a provider of e-mail and texts, who is admitted learns that there is none.
    Row(
        "POST /v1/api/verification/email/request",
        "",
        post(f"{VERIFICATION}/email/request", dict),
        "401 503 503 503 503",
    ),
    Row(
        # The addresses of the staff are verified already.
        "POST /v1/api/verification/email/confirm",
        "with a wrong code",
        post(f"{VERIFICATION}/email/confirm", lambda: {"code": "000000"}),
        "401 400 400 409 409",
    ),
    Row(
        "POST /v1/api/verification/mobile/request",
        "",
        post(f"{VERIFICATION}/mobile/request", dict),
        "401 503 503 503 503",
    ),
    Row(
        "POST /v1/api/verification/mobile/confirm",
        "with a wrong code",
        post(f"{VERIFICATION}/mobile/confirm", lambda: {"code": "000000"}),
        "401 400 400 400 400",
    ),
    Row(
        "POST /v1/api/users/password/forgot",
        "",
        post(f"{USERS}/password/forgot", lambda: {"email": new_email()}),
        "503 503 503 503 503",
    ),
    Row(
        "POST /v1/api/users/password/reset",
        "with a wrong code",
        post(
            f"{USERS}/password/reset",
            lambda: {
                "email": new_email(),
                "code": "000000",
                "password": PASSWORD,
                "confirmPassword": PASSWORD,
            },
        ),
        "400 400 400 400 400",
    ),
    Row(
        "POST /v1/api/users/refresh",
        "with no refresh token",
        post(f"{USERS}/refresh", lambda: {"refreshToken": "nobody.nothing"}),
        "401 401 401 401 401",
    ),
    Row("GET /v1/api/users/sessions", "", get(f"{USERS}/sessions"), "401 200 200 200 200"),
    Row(
        "DELETE /v1/api/users/sessions/{session_id}",
        "of nobody",
        lambda world, caller: caller.call("DELETE", f"{USERS}/sessions/{'0' * 22}"),
        "401 404 404 404 404",
    ),
    Row(
        "DELETE /v1/api/users/sessions",
        "all but this one",
        lambda world, caller: caller.call("DELETE", f"{USERS}/sessions?keepCurrent=true"),
        "401 200 200 200 200",
    ),
    Row(
        "PUT /v1/api/users/password",
        "without the present one",
        lambda world, caller: caller.call(
            "PUT",
            f"{USERS}/password",
            json={"currentPassword": "x", "password": PASSWORD, "confirmPassword": PASSWORD},
        ),
        "401 400 400 400 400",
    ),
    Row(
        "GET /v1/api/users/second-factor", "", get(f"{USERS}/second-factor"), "401 200 200 200 200"
    ),
    Row(
        "POST /v1/api/users/second-factor",
        "without the present password",
        post(f"{USERS}/second-factor", lambda: {"currentPassword": "x"}),
        "401 400 400 400 400",
    ),
    Row(
        "POST /v1/api/users/second-factor/confirm",
        "with no challenge of ours",
        post(f"{USERS}/second-factor/confirm", lambda: {"challenge": "nobody", "code": "000000"}),
        "401 400 400 400 400",
    ),
    Row(
        "POST /v1/api/users/second-factor/disable",
        "without the present password",
        post(f"{USERS}/second-factor/disable", lambda: {"currentPassword": "x", "code": "000000"}),
        "401 400 400 400 400",
    ),
    Row(
        "POST /v1/api/console/session",
        "to an account without such a role",
        lambda world, caller: caller.call(
            "POST", CONSOLE_SESSION, json={"email": world.owner.email, "password": PASSWORD}
        ),
        "403 403 403 403 403",
    ),
    Row(
        "POST /v1/api/console/session/enrolment",
        "with no challenge of ours",
        post(f"{CONSOLE_SESSION}/enrolment", lambda: {"challenge": "nobody", "code": "000000"}),
        "400 400 400 400 400",
    ),
    Row("GET /v1/api/console/session", "", get(CONSOLE_SESSION), "401 403 200 200 200"),
    Row(
        "DELETE /v1/api/console/session",
        "",
        lambda world, caller: caller.device().call("DELETE", CONSOLE_SESSION),
        "401 200 200 200 200",
    ),
    Row(
        "POST /v1/api/console/session/proof",
        "without the present password",
        post(f"{CONSOLE_SESSION}/proof", lambda: {"currentPassword": "x"}),
        "401 400 400 400 400",
    ),
    Row(
        "POST /v1/api/payments/create",
        "",
        post(f"{PAYMENTS}/create", payment_body),
        "401 201 403 403 201",
    ),
    Row(
        "GET /v1/api/payments/history/{user_id}",
        "own",
        history(lambda world, caller: caller.id),
        "401 200 200 200 200",
    ),
    Row(
        "GET /v1/api/payments/history/{user_id}",
        "another's",
        history(lambda world, caller: world.owner.id),
        "401 403 403 403 200",
    ),
    Row(
        "GET /v1/api/payments/{reference_id}",
        "own",
        show(lambda world, role: world.own[role]),
        "- 200 - - 200",
    ),
    Row(
        "GET /v1/api/payments/{reference_id}",
        "paid to the calling provider",
        show(lambda world, role: world.paid_to_caller),
        "401 404 200 200 200",
    ),
    Row(
        "GET /v1/api/payments/{reference_id}",
        "of strangers",
        show(lambda world, role: world.of_strangers),
        "401 404 404 200 200",
    ),
    Row(
        "POST /v1/api/payments/{reference_id}/check",
        "",
        lambda world, caller: caller.call("POST", f"{PAYMENTS}/{world.of_strangers}/check"),
        "401 403 403 200 200",
    ),
    Row(
        "GET /v1/api/payments/{reference_id}/story",
        "paid to the calling provider",
        show(lambda world, role: f"{world.paid_to_caller}/story"),
        "401 403 200 200 200",
    ),
    Row(
        "GET /v1/api/payments/{reference_id}/story",
        "of strangers",
        show(lambda world, role: f"{world.of_strangers}/story"),
        "401 403 404 200 200",
    ),
    Row(
        "GET /v1/api/payments/{reference_id}/gateway-calls",
        "paid to the calling provider",
        show(lambda world, role: f"{world.paid_to_caller}/gateway-calls"),
        "401 403 403 403 200",
    ),
    Row(
        "POST /v1/api/payments/{reference_id}/refunds",
        "paid to the calling provider",
        refund(lambda world: world.paid_to_caller),
        "401 403 201 403 201",
    ),
    Row(
        "POST /v1/api/payments/{reference_id}/refunds",
        "of strangers",
        refund(lambda world: world.of_strangers),
        "401 403 404 403 201",
    ),
    Row(
        # Captured already: past the guard there is nothing left to do.
        "POST /v1/api/payments/{reference_id}/capture",
        "",
        lambda world, caller: caller.call("POST", f"{PAYMENTS}/{world.of_strangers}/capture"),
        "401 403 403 403 409",
    ),
    Row(
        # Paid already: who may cancel it is told so, and all others not even that it exists.
        "POST /v1/api/payments/{reference_id}/cancel",
        "of strangers",
        lambda world, caller: caller.call("POST", f"{PAYMENTS}/{world.of_strangers}/cancel"),
        "401 404 404 403 409",
    ),
    Row(
        "GET /v1/api/checkout/{token}",
        "",
        lambda world, caller: caller.call("GET", f"/v1/api/checkout/{world.link}"),
        "200 200 200 200 200",
    ),
    Row(
        "GET /v1/api/payments/status/{reference_id}",
        "",
        lambda world, caller: caller.call("GET", f"{PAYMENTS}/status/{world.of_strangers}"),
        "200 200 200 200 200",
    ),
    Row(
        # Paid already, so the stream ends at once. Who sees what in it is tried in `tests/live`.
        "GET /v1/api/payments/{reference_id}/events",
        "of strangers",
        lambda world, caller: caller.call("GET", f"{PAYMENTS}/{world.of_strangers}/events"),
        "200 200 200 200 200",
    ),
    Row(
        "POST /v1/api/payments/verify",
        "with the signature",
        lambda world, caller: caller.call("POST", f"{PAYMENTS}/verify", json=world.checkout),
        "200 200 200 200 200",
    ),
    Row(
        "POST /v1/api/payments/verify",
        "without it",
        lambda world, caller: caller.call(
            "POST", f"{PAYMENTS}/verify", json={**world.checkout, "razorpaySignature": "0" * 64}
        ),
        "400 400 400 400 400",
    ),
    Row(
        "POST /v1/api/payments/webhook",
        "signed",
        lambda world, caller: send_event(caller.client, "nothing.of.ours"),
        "200 200 200 200 200",
    ),
    Row(
        "POST /v1/api/payments/webhook",
        "not signed",
        post(WEBHOOK_PATH, lambda: {"event": "payment.captured"}),
        "401 401 401 401 401",
    ),
    Row("GET /v1/api/disputes", "", get(DISPUTES), "401 403 200 200 200"),
    Row(
        "GET /v1/api/disputes/{dispute_id}",
        "about a payment to the calling provider",
        dispute(lambda world: world.dispute_of_caller),
        "401 403 200 200 200",
    ),
    Row(
        "GET /v1/api/disputes/{dispute_id}",
        "of strangers",
        dispute(lambda world: world.dispute_of_strangers),
        "401 403 404 200 200",
    ),
    Row("GET /v1/api/payments", "", get(PAYMENTS), "401 200 200 200 200"),
    Row(
        "GET /v1/api/payments",
        "another's",
        lambda world, caller: caller.call("GET", PAYMENTS, params={"userId": world.owner.id}),
        "401 403 403 403 200",
    ),
    Row(
        "GET /v1/api/payments/totals", "", get(f"{PAYMENTS}/totals?{MONTH}"), "401 200 200 200 200"
    ),
    Row(
        "GET /v1/api/payments/totals",
        "another's",
        lambda world, caller: caller.call(
            "GET", f"{PAYMENTS}/totals?{MONTH}&userId={world.owner.id}"
        ),
        "401 403 403 403 200",
    ),
    Row("GET /v1/api/customers", "", get(CUSTOMERS), "401 200 403 403 200"),
    Row(
        "GET /v1/api/customers/{customer_id}",
        "of strangers",
        customer("GET"),
        "401 404 403 403 200",
    ),
    Row(
        "GET /v1/api/customers/{customer_id}/payments",
        "of strangers",
        customer("GET", "/payments"),
        "401 404 404 404 200",
    ),
    Row(
        "PATCH /v1/api/customers/{customer_id}",
        "of strangers",
        customer("PATCH", body={"name": "Ravi"}),
        "401 404 403 403 200",
    ),
    Row(
        "POST /v1/api/customers/{customer_id}/merge",
        "of strangers, into one that is not there",
        customer("POST", "/merge", body={"into": "0" * 24}),
        "401 404 403 403 404",
    ),
    Row(
        "POST /v1/api/customers/{customer_id}/grant",
        "of strangers, to an account that has not asked",
        customer("POST", "/grant", body={"accountId": "0" * 24}),
        "401 404 403 403 409",
    ),
    Row(
        "DELETE /v1/api/customers/{customer_id}/grant",
        "of strangers",
        customer("DELETE", "/grant"),
        "401 404 403 403 200",
    ),
    Row(
        "POST /v1/api/payments/{reference_id}/claim",
        "of strangers; staff has verified addresses",
        lambda world, caller: caller.call("POST", f"{PAYMENTS}/{world.of_strangers}/claim"),
        "401 403 403 404 404",
    ),
    Row("GET /v1/api/payments/granted", "", get(f"{PAYMENTS}/granted"), "401 200 200 200 200"),
    Row(
        "DELETE /v1/api/customers/{customer_id}",
        "that is not there",
        lambda world, caller: caller.call("DELETE", f"{CUSTOMERS}/{'0' * 24}"),
        "401 404 403 403 404",
    ),
    Row("GET /v1/api/payments/received", "", get(f"{PAYMENTS}/received"), "401 403 200 403 403"),
    Row(
        "GET /v1/api/payments/{reference_id}/receipt",
        "paid to the calling provider",
        receipt("GET", lambda world: world.paid_to_caller),
        "401 404 200 200 200",
    ),
    Row(
        "GET /v1/api/payments/{reference_id}/receipt",
        "of strangers",
        receipt("GET", lambda world: world.of_strangers),
        "401 404 404 200 200",
    ),
    Row(
        "POST /v1/api/payments/{reference_id}/receipt",
        "paid to the calling provider",
        receipt("POST", lambda world: world.paid_to_caller),
        "401 404 200 200 200",
    ),
    Row(
        "POST /v1/api/payments/{reference_id}/receipt",
        "of strangers",
        receipt("POST", lambda world: world.of_strangers),
        "401 404 404 200 200",
    ),
    Row(
        # Without a refund of that id, whoever may see the payment learns that there is none.
        "GET /v1/api/payments/{reference_id}/refunds/{refund_id}/note",
        "of a refund that is not there",
        lambda world, caller: caller.call(
            "GET", f"{PAYMENTS}/{world.of_strangers}/refunds/rfnd_0/note"
        ),
        "401 404 404 404 404",
    ),
    Row(
        "GET /v1/api/payments/{reference_id}/refunds/{refund_id}/note",
        "of strangers",
        lambda world, caller: caller.call(
            "GET", f"{PAYMENTS}/{world.of_strangers}/refunds/{world.refund}/note"
        ),
        "401 404 404 200 200",
    ),
    Row(
        "GET /r/{token}",
        "with a link that has ended",
        get(f"/r/{'A' * 43}"),
        "403 403 403 403 403",
    ),
    Row(
        "GET /r/check/{code}",
        "with the code of a paper",
        lambda world, caller: caller.call("GET", f"/r/check/{world.paper}"),
        "200 200 200 200 200",
    ),
    Row(
        "GET /v1/api/payments/export",
        "",
        get(f"{PAYMENTS}/export?from=2020-01-01&to=2020-02-01"),
        "401 403 403 403 200",
    ),
    Row(
        "POST /v1/api/payments/exports",
        "",
        post(f"{PAYMENTS}/exports", lambda: {"from": "2020-01-01", "to": "2020-02-01"}),
        "401 403 403 403 201",
    ),
    Row("GET /v1/api/exports", "", get(EXPORTS), "401 403 403 403 200"),
    Row(
        "POST /v1/api/exports",
        "",
        post(EXPORTS, lambda: {"from": "2020-01-01", "to": "2020-02-01"}),
        "401 403 403 403 202",
    ),
    Row(
        "GET /v1/api/exports/{export_id}",
        "that is not there",
        get(f"{EXPORTS}/{'0' * 24}"),
        "401 403 403 403 404",
    ),
    Row(
        "POST /v1/api/exports/{export_id}/link",
        "that is not there",
        post(f"{EXPORTS}/{'0' * 24}/link", dict),
        "401 403 403 403 404",
    ),
    Row(
        "GET /v1/api/files/{name}",
        "without a signature that fits",
        get(f"/v1/api/files/export-{'0' * 32}.csv?expires=9999999999&signature={'0' * 64}"),
        "403 403 403 403 403",
    ),
    Row(
        "GET /v1/api/admin/payments/search",
        "",
        get(f"{ADMIN}/payments/search?q=order_Unknown0000001"),
        "401 403 403 403 200",
    ),
    Row("GET /v1/api/admin/users", "", get(f"{ADMIN}/users"), "401 403 403 403 200"),
    Row(
        "POST /v1/api/admin/users",
        "",
        post(f"{ADMIN}/users", lambda: sign_up_body(type="LAB_ASSISTANT")),
        "401 403 403 403 201",
    ),
    Row(
        "GET /v1/api/admin/users/{user_id}",
        "",
        lambda world, caller: caller.call("GET", f"{ADMIN}/users/{world.owner.id}"),
        "401 403 403 403 200",
    ),
    Row(
        "POST /v1/api/admin/users/{user_id}/activate",
        "nobody",
        post(f"{ADMIN}/users/{'0' * 24}/activate", dict),
        "401 403 403 403 404",
    ),
    Row(
        "POST /v1/api/admin/users/{user_id}/deactivate",
        "nobody",
        post(f"{ADMIN}/users/{'0' * 24}/deactivate", dict),
        "401 403 403 403 404",
    ),
    Row(
        "POST /v1/api/admin/users/{user_id}/erase",
        "nobody",
        post(f"{ADMIN}/users/{'0' * 24}/erase", dict),
        "401 403 403 403 404",
    ),
    Row(
        "POST /v1/api/admin/users/{user_id}/approve",
        "nobody",
        post(f"{ADMIN}/users/{'0' * 24}/approve", dict),
        "401 403 403 403 404",
    ),
    Row(
        "POST /v1/api/admin/users/{user_id}/revoke-approval",
        "nobody",
        post(f"{ADMIN}/users/{'0' * 24}/revoke-approval", dict),
        "401 403 403 403 404",
    ),
    Row(
        # The role they have: past the guard nothing is left to change.
        "PUT /v1/api/admin/users/{user_id}/role",
        "",
        lambda world, caller: caller.call(
            "PUT", f"{ADMIN}/users/{world.owner.id}/role", json={"role": "USER"}
        ),
        "401 403 403 403 200",
    ),
    Row("GET /v1/api/admin/api-keys", "", get(f"{ADMIN}/api-keys"), "401 403 403 403 200"),
    Row(
        "POST /v1/api/admin/api-keys",
        "",
        post(f"{ADMIN}/api-keys", lambda: {"name": "Back end", "role": "USER"}),
        "401 403 403 403 201",
    ),
    Row(
        "DELETE /v1/api/admin/api-keys/{key_id}",
        "that is not there",
        lambda world, caller: caller.call("DELETE", f"{ADMIN}/api-keys/{'0' * 24}"),
        "401 403 403 403 404",
    ),
    Row(
        "POST /v1/api/admin/api-keys/{key_id}/adopt",
        "that is not there",
        post(f"{ADMIN}/api-keys/{'0' * 24}/adopt", dict),
        "401 403 403 403 404",
    ),
    Row("GET /v1/api/admin/audit", "", get(f"{ADMIN}/audit"), "401 403 403 403 200"),
    Row("GET /v1/api/admin/mismatches", "", get(f"{ADMIN}/mismatches"), "401 403 403 403 200"),
    Row("GET /v1/api/admin/attention", "", get(f"{ADMIN}/attention"), "401 403 403 403 200"),
    Row("GET /v1/api/insights", "", get(f"{INSIGHTS}?{MONTH}"), "401 403 200 403 200"),
    *(
        row
        for more in ("", "/file")
        for row in (
            Row(
                f"GET /v1/api/statements/{{provider_id}}/{{month}}{more}",
                "own",
                statement(lambda world, caller: caller.id or world.owner.id, more),
                "401 403 200 403 200",
            ),
            Row(
                f"GET /v1/api/statements/{{provider_id}}/{{month}}{more}",
                "another's",
                statement(lambda world, caller: world.owner.id, more),
                "401 403 403 403 200",
            ),
        )
    ),
    Row("GET /v1/api/admin/health", "", get(f"{ADMIN}/health"), "401 403 403 403 200"),
    Row("GET /v1/api/webhooks/events", "", get(EVENTS), "401 403 403 403 200"),
    Row(
        "GET /v1/api/webhooks/events/{event_id}",
        "that did not come",
        get(f"{EVENTS}/evt_unknown"),
        "401 403 403 403 404",
    ),
    Row(
        "POST /v1/api/webhooks/events/{event_id}/replay",
        "that did not come",
        post(f"{EVENTS}/evt_unknown/replay", dict),
        "401 403 403 403 404",
    ),
    Row(
        "POST /v1/api/webhooks/events/replay",
        "",
        post(f"{EVENTS}/replay", lambda: {"status": "parked"}),
        "401 403 403 403 200",
    ),
    Row("GET /v1/api/reconciliation/reports", "", get(REPORTS), "401 403 403 403 200"),
    Row(
        "POST /v1/api/reconciliation/reports",
        "",
        post(REPORTS, lambda: {"from": "2020-01-01T00:00:00Z", "to": "2020-01-02T00:00:00Z"}),
        "401 403 403 403 202",
    ),
    Row(
        "GET /v1/api/reconciliation/reports/{report_id}",
        "that is not there",
        get(f"{REPORTS}/{'0' * 24}"),
        "401 403 403 403 404",
    ),
    Row(
        "POST /v1/api/reconciliation/reports/{report_id}/findings/{finding_id}/repair",
        "that is not there",
        post(f"{REPORTS}/{'0' * 24}/findings/{'0' * 24}/repair", dict),
        "401 403 403 403 404",
    ),
    Row("GET /v1/api/settlements", "", get(SETTLEMENTS), "401 403 403 403 200"),
    Row(
        "GET /v1/api/settlements/ledger",
        "",
        get(f"{SETTLEMENTS}/ledger?from=2026-01-01&to=2026-01-02"),
        "401 403 403 403 200",
    ),
    Row(
        "GET /v1/api/settlements/unsettled",
        "",
        get(f"{SETTLEMENTS}/unsettled"),
        "401 403 403 403 200",
    ),
    Row(
        "GET /v1/api/settlements/{settlement_id}",
        "that is not there",
        get(f"{SETTLEMENTS}/setl_nobody"),
        "401 403 403 403 404",
    ),
    Row(
        "POST /v1/api/endpoints",
        "",
        post(ENDPOINTS, lambda: {"url": "https://8.8.8.8/hook"}),
        "401 201 403 403 201",
    ),
    Row("GET /v1/api/endpoints", "", get(ENDPOINTS), "401 200 403 403 200"),
    Row(
        "GET /v1/api/endpoints/{endpoint_id}",
        "of strangers",
        endpoint("GET"),
        "401 404 403 403 200",
    ),
    Row(
        "PUT /v1/api/endpoints/{endpoint_id}",
        "of strangers",
        endpoint("PUT", body={"description": "Stock"}),
        "401 404 403 403 200",
    ),
    Row(
        "POST /v1/api/endpoints/{endpoint_id}/rotate",
        "of strangers",
        endpoint("POST", "/rotate", {"overlapSeconds": 0}),
        "401 404 403 403 200",
    ),
    Row(
        "POST /v1/api/endpoints/{endpoint_id}/test",
        "of strangers",
        endpoint("POST", "/test"),
        "401 404 403 403 202",
    ),
    Row(
        "POST /v1/api/endpoints/{endpoint_id}/replay",
        "of strangers",
        endpoint("POST", "/replay", {"from": "2026-01-01T00:00:00Z"}),
        "401 404 403 403 200",
    ),
    Row(
        "GET /v1/api/deliveries",
        "to an endpoint of strangers",
        lambda world, caller: caller.call("GET", f"{DELIVERIES}?endpointId={world.endpoint}"),
        "401 404 403 403 200",
    ),
    Row(
        "GET /v1/api/deliveries/{delivery_id}",
        "to an endpoint of strangers",
        delivery("GET"),
        "401 404 403 403 200",
    ),
    Row(
        "POST /v1/api/deliveries/{delivery_id}/resend",
        "to an endpoint of strangers",
        delivery("POST", "/resend"),
        "401 404 403 403 200",
    ),
    Row(
        "POST /v1/api/endpoints/{endpoint_id}/disable",
        "of strangers",
        endpoint("POST", "/disable"),
        "401 404 403 403 200",
    ),
    Row(
        "POST /v1/api/endpoints/{endpoint_id}/enable",
        "of strangers",
        endpoint("POST", "/enable"),
        "401 404 403 403 200",
    ),
    Row(
        "DELETE /v1/api/endpoints/{endpoint_id}",
        "of strangers",
        lambda world, caller: caller.call(
            "DELETE", f"{ENDPOINTS}/{world.owner.new_endpoint()['_id']}"
        ),
        "401 404 403 403 200",
    ),
    Row("GET /v1/api/events", "", get(OUTGOING_EVENTS), "401 200 403 403 200"),
    Row(
        "GET /v1/api/events/{event_id}",
        "of strangers",
        lambda world, caller: caller.call(
            "GET", f"{OUTGOING_EVENTS}/{world.delivery.partition(':')[0]}"
        ),
        "401 404 403 403 200",
    ),
    Row("GET /health/live", "", get("/health/live"), "200 200 200 200 200"),
    Row("GET /health/ready", "", get("/health/ready"), "200 200 200 200 200"),
    # They have a token of their own.
    Row("GET /metrics", "", get("/metrics"), "401 401 401 401 401"),
]
