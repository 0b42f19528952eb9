"""Describe calls to the gateway as entries of a story."""

from typing import Final

from kernapay.console.story.dtos import EntryKind, StoryEntry
from kernapay.gateway.calls.dtos import GatewayCallView

_TITLES: Final = {
    "POST orders": "Asked the gateway for an order",
    "GET orders": "Looked for the order at the gateway",
    "GET orders/{id}": "Looked at the order at the gateway",
    "GET orders/{id}/payments": "Looked at the payments of the order at the gateway",
    "GET payments/{id}": "Looked at the payment at the gateway",
    "POST payments/{id}/capture": "Asked the gateway to capture the payment",
    "POST payments/{id}/refund": "Asked the gateway for a refund",
    "GET payments/{id}/refunds": "Looked at the refunds at the gateway",
    "GET disputes/{id}": "Looked at the dispute at the gateway",
}
_OUTCOMES: Final = {
    "ok": "answered",
    "refused": "refused",
    "limited": "too many requests",
    "failed": "failed",
    "unanswered": "no answer",
}


def entry_of_call(call: GatewayCallView) -> StoryEntry:
    """Return the entry of a call: the request and its result."""
    outcome = _OUTCOMES.get(call.outcome, call.outcome)
    status = f" ({call.status})" if call.status is not None else ""
    parts = [f"{outcome}{status} in {call.ms} ms", call.reason or call.code, call.gateway_field]
    amount = call.sent.get("amount")
    return StoryEntry(
        id=f"gateway-{call.id}",
        at=call.created_at,
        kind=EntryKind.GATEWAY,
        title=_TITLES.get(call.call, f"Asked the gateway: {call.call}"),
        detail="; ".join(part for part in parts if part),
        outcome=call.outcome,
        is_failure=call.outcome != "ok",
        amount=amount if isinstance(amount, int) else None,
        evidence_id=call.id,
    )
