"""What an API key needs for each route: the design's table, and the keys that try it."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

import httpx

from kernapay.security.principal import Role, Scope
from tests.actors import API_KEYS, Actor
from tests.house.roles import CALLERS, TABLE, Row, World

PEOPLE: Final = "people"
"""No key at all."""
UNSCOPED: Final = "unscoped"
"""No key with scopes; those that have none may do all that their role may."""

NEEDS: Final[Mapping[str, str]] = {
    "POST /v1/api/payments/create": Scope.PAYMENTS_WRITE,
    "POST /v1/api/payments/{reference_id}/capture": Scope.PAYMENTS_WRITE,
    "POST /v1/api/payments/{reference_id}/cancel": Scope.PAYMENTS_WRITE,
    "GET /v1/api/payments/history/{user_id}": Scope.PAYMENTS_READ,
    "GET /v1/api/payments": Scope.PAYMENTS_READ,
    "GET /v1/api/payments/totals": Scope.PAYMENTS_READ,
    "GET /v1/api/payments/{reference_id}/events": Scope.PAYMENTS_READ,
    "GET /v1/api/payments/received": Scope.PAYMENTS_READ,
    "GET /v1/api/customers/{customer_id}/payments": Scope.PAYMENTS_READ,
    "GET /v1/api/customers": Scope.CUSTOMERS_READ,
    "GET /v1/api/customers/{customer_id}": Scope.CUSTOMERS_READ,
    "PATCH /v1/api/customers/{customer_id}": Scope.CUSTOMERS_WRITE,
    "POST /v1/api/customers/{customer_id}/merge": Scope.CUSTOMERS_WRITE,
    "DELETE /v1/api/customers/{customer_id}": Scope.CUSTOMERS_WRITE,
    "POST /v1/api/customers/{customer_id}/grant": Scope.CUSTOMERS_WRITE,
    "DELETE /v1/api/customers/{customer_id}/grant": Scope.CUSTOMERS_WRITE,
    "POST /v1/api/payments/{reference_id}/claim": PEOPLE,
    "GET /v1/api/payments/granted": PEOPLE,
    "GET /v1/api/payments/{reference_id}": Scope.PAYMENTS_READ,
    "GET /v1/api/payments/{reference_id}/receipt": Scope.PAYMENTS_READ,
    "POST /v1/api/payments/{reference_id}/receipt": Scope.PAYMENTS_READ,
    "GET /v1/api/payments/{reference_id}/refunds/{refund_id}/note": Scope.PAYMENTS_READ,
    "GET /v1/api/disputes": Scope.PAYMENTS_READ,
    "GET /v1/api/disputes/{dispute_id}": Scope.PAYMENTS_READ,
    "POST /v1/api/payments/{reference_id}/refunds": Scope.REFUNDS_WRITE,
    "GET /v1/api/payments/export": Scope.REPORTS_READ,
    "POST /v1/api/payments/exports": Scope.REPORTS_READ,
    "GET /v1/api/exports": Scope.REPORTS_READ,
    "POST /v1/api/exports": Scope.REPORTS_READ,
    "GET /v1/api/exports/{export_id}": Scope.REPORTS_READ,
    "POST /v1/api/exports/{export_id}/link": Scope.REPORTS_READ,
    "GET /v1/api/statements/{provider_id}/{month}": Scope.REPORTS_READ,
    "GET /v1/api/statements/{provider_id}/{month}/file": Scope.REPORTS_READ,
    "GET /v1/api/insights": Scope.REPORTS_READ,
    "GET /v1/api/settlements": Scope.REPORTS_READ,
    "GET /v1/api/settlements/ledger": Scope.REPORTS_READ,
    "GET /v1/api/settlements/unsettled": Scope.REPORTS_READ,
    "GET /v1/api/settlements/{settlement_id}": Scope.REPORTS_READ,
    "GET /v1/api/reconciliation/reports": Scope.REPORTS_READ,
    "GET /v1/api/reconciliation/reports/{report_id}": Scope.REPORTS_READ,
    "GET /v1/api/endpoints": Scope.DELIVERIES_READ,
    "GET /v1/api/endpoints/{endpoint_id}": Scope.DELIVERIES_READ,
    "GET /v1/api/deliveries": Scope.DELIVERIES_READ,
    "GET /v1/api/deliveries/{delivery_id}": Scope.DELIVERIES_READ,
    "GET /v1/api/events": Scope.DELIVERIES_READ,
    "GET /v1/api/events/{event_id}": Scope.DELIVERIES_READ,
    "POST /v1/api/endpoints": Scope.DELIVERIES_WRITE,
    "PUT /v1/api/endpoints/{endpoint_id}": Scope.DELIVERIES_WRITE,
    "DELETE /v1/api/endpoints/{endpoint_id}": Scope.DELIVERIES_WRITE,
    "POST /v1/api/endpoints/{endpoint_id}/rotate": Scope.DELIVERIES_WRITE,
    "POST /v1/api/endpoints/{endpoint_id}/enable": Scope.DELIVERIES_WRITE,
    "POST /v1/api/endpoints/{endpoint_id}/disable": Scope.DELIVERIES_WRITE,
    "POST /v1/api/endpoints/{endpoint_id}/test": Scope.DELIVERIES_WRITE,
    "POST /v1/api/endpoints/{endpoint_id}/replay": Scope.DELIVERIES_WRITE,
    "POST /v1/api/deliveries/{delivery_id}/resend": Scope.DELIVERIES_WRITE,
    "POST /v1/api/reconciliation/reports": UNSCOPED,
    "POST /v1/api/reconciliation/reports/{report_id}/findings/{finding_id}/repair": UNSCOPED,
    "GET /v1/api/users/profile": UNSCOPED,
    "GET /v1/api/admin/payments/search": UNSCOPED,
    "GET /v1/api/admin/mismatches": UNSCOPED,
    "GET /v1/api/payments/{reference_id}/story": UNSCOPED,
    "GET /v1/api/payments/{reference_id}/gateway-calls": UNSCOPED,
    "POST /v1/api/payments/{reference_id}/check": UNSCOPED,
    "GET /v1/api/admin/users": UNSCOPED,
    "GET /v1/api/admin/users/{user_id}": UNSCOPED,
    "GET /v1/api/admin/audit": UNSCOPED,
    "GET /v1/api/admin/attention": UNSCOPED,
    "GET /v1/api/admin/health": UNSCOPED,
    "GET /v1/api/webhooks/events": UNSCOPED,
    "GET /v1/api/webhooks/events/{event_id}": UNSCOPED,
    "POST /v1/api/webhooks/events/{event_id}/replay": UNSCOPED,
    "POST /v1/api/webhooks/events/replay": UNSCOPED,
    "PUT /v1/api/users/update": PEOPLE,
    "POST /v1/api/users/logout": PEOPLE,
    "GET /v1/api/users/sessions": PEOPLE,
    "DELETE /v1/api/users/sessions": PEOPLE,
    "DELETE /v1/api/users/sessions/{session_id}": PEOPLE,
    "PUT /v1/api/users/password": PEOPLE,
    "GET /v1/api/users/second-factor": PEOPLE,
    "POST /v1/api/users/second-factor": PEOPLE,
    "POST /v1/api/users/second-factor/confirm": PEOPLE,
    "POST /v1/api/users/second-factor/disable": PEOPLE,
    "GET /v1/api/console/session": PEOPLE,
    "DELETE /v1/api/console/session": PEOPLE,
    "POST /v1/api/console/session/proof": PEOPLE,
    "POST /v1/api/verification/email/request": PEOPLE,
    "POST /v1/api/verification/email/confirm": PEOPLE,
    "POST /v1/api/verification/mobile/request": PEOPLE,
    "POST /v1/api/verification/mobile/confirm": PEOPLE,
    "POST /v1/api/admin/users": PEOPLE,
    "POST /v1/api/admin/users/{user_id}/activate": PEOPLE,
    "POST /v1/api/admin/users/{user_id}/deactivate": PEOPLE,
    "POST /v1/api/admin/users/{user_id}/erase": PEOPLE,
    "POST /v1/api/admin/users/{user_id}/approve": PEOPLE,
    "POST /v1/api/admin/users/{user_id}/revoke-approval": PEOPLE,
    "PUT /v1/api/admin/users/{user_id}/role": PEOPLE,
    "GET /v1/api/admin/api-keys": PEOPLE,
    "POST /v1/api/admin/api-keys": PEOPLE,
    "DELETE /v1/api/admin/api-keys/{key_id}": PEOPLE,
    "POST /v1/api/admin/api-keys/{key_id}/adopt": PEOPLE,
}
"""Every route that is not public."""

WITHOUT_SCOPES: Final = "without scopes"
OPTIONAL: Final = "GET /v1/api/payments/{reference_id}/events"
"""The route that admits nobody too."""

KEYS: Final = (WITHOUT_SCOPES, *(scope.value for scope in Scope))


class KeyHolder(Actor):
    """A back end that acts as somebody, with a key in place of a token."""

    def __init__(self, owner: Actor, key: str) -> None:
        super().__init__(owner.client, {"_id": owner.id, "email": owner.email}, "", key)

    def device(self) -> "KeyHolder":
        return self


def new_holder(admin: Actor, owner: Actor, role: str, *scopes: str) -> KeyHolder:
    """Make a key of the owner; without scopes, one that may do all that the role may."""
    body: dict[str, Any] = {"name": "Back end", "role": role, "userId": owner.id}
    if scopes:
        body["scopes"] = list(scopes)
    made = admin.call("POST", API_KEYS, json=body)
    assert made.status_code == 201, made.text
    return KeyHolder(owner, made.json()["key"])


def role_for(row: Row) -> str:
    """Return the role for which the most routes have an answer other than a refusal."""
    answers = dict(zip(CALLERS, row.answers.split(), strict=True))
    return next(role for role in (Role.ADMIN, Role.PROVIDER) if answers[role] != "403")


def expected(row: Row, key: str) -> tuple[int, str | None]:
    """Return the status and the code of the refusal that a key gets; no code where its role decides."""
    need = NEEDS[row.route]
    answer = int(dict(zip(CALLERS, row.answers.split(), strict=True))[role_for(row)])
    if need == PEOPLE or (need == UNSCOPED and key != WITHOUT_SCOPES):
        return 403, "forbidden"
    return (answer, None) if key in (need, WITHOUT_SCOPES) else (403, "scope_missing")


def ask_with_key(world: World, row: Row, holder: KeyHolder) -> httpx.Response:
    """Send the row's request with the key, in place of the token of whoever has the role."""
    return row.ask(replace(world, callers={**world.callers, role_for(row): holder}), holder)


def protected_rows() -> Iterator[Row]:
    return (row for row in TABLE if row.route in NEEDS)
