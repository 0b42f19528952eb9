"""A call to the gateway, as an administrator sees it."""

from typing import Annotated, Any, Final

from msgspec import Meta, Struct, field

from kernapay.core.clock import Instant
from kernapay.core.ids import OBJECT_ID_EXAMPLE

_SENT: Final = {"amount": 50000, "currency": "INR", "receipt": "KP_66b1f0c2a7d4e5f601234567"}
_ANSWERED: Final = {"id": "order_SxT5cQ2hVd7LrA", "amount": 50000, "status": "created"}


class GatewayCallView(Struct, rename="camel", kw_only=True):
    """One call about a payment, kept for 90 days.

    `outcome` is `ok`, `refused` (4xx), `limited` (429), `failed` (5xx, a redirect) or `unanswered`, and `judged` what
    KernaPay made of it; `code`, `reason` and `gatewayField` are the gateway's. `sent` and `answered` have amounts, ids,
    states and times, nothing personal, no notes and no secrets; of a list, its first ten items. `process` is the kind
    of process, its machine and its number, `requestId` the request that made the call, null for the worker's own.
    """

    id: Annotated[str, Meta(examples=[OBJECT_ID_EXAMPLE])] = field(name="_id")
    created_at: Instant
    call: Annotated[str, Meta(examples=["POST orders"])]
    path: Annotated[str, Meta(examples=["orders"])]
    outcome: Annotated[str, Meta(examples=["ok"])]
    status: Annotated[int | None, Meta(examples=[200])] = None
    ms: Annotated[int, Meta(description="Milliseconds.", examples=[182])]
    judged: Annotated[str | None, Meta(examples=["gateway_rejected"])] = None
    code: Annotated[str | None, Meta(examples=["BAD_REQUEST_ERROR"])] = None
    reason: Annotated[str | None, Meta(examples=["order_already_paid"])] = None
    gateway_field: Annotated[str | None, Meta(examples=["amount"])] = None
    process: Annotated[str, Meta(examples=["api pay-1 4711"])]
    request_id: Annotated[str | None, Meta(examples=["6f1c2a9be0d34c58"])] = None
    sent: Annotated[dict[str, Any], Meta(examples=[_SENT])] = {}
    answered: Annotated[dict[str, Any], Meta(examples=[_ANSWERED])] = {}
