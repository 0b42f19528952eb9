"""Collect everything that is stored about one payment, as a story."""

from collections.abc import Iterable
from itertools import chain
from typing import Final

import msgspec
from bson import ObjectId

from kernapay.administration.payments.dtos import AdminPaymentView
from kernapay.administration.payments.repository import PaymentSearchRepository
from kernapay.audit.dtos import AuditView
from kernapay.audit.repository import AuditLog
from kernapay.console.story.calls import entry_of_call
from kernapay.console.story.dtos import (
    AllowedActions,
    EntryKind,
    Payer,
    PaymentStory,
    StoryActor,
    StoryEntry,
)
from kernapay.console.story.entries import entries_of
from kernapay.core.errors import NotFound
from kernapay.deliveries.dtos import DeliveryDetail
from kernapay.deliveries.endpoints.repository import EndpointRepository
from kernapay.deliveries.models import DeliveryState
from kernapay.deliveries.repository import DeliveryRepository
from kernapay.gateway.calls.dtos import GatewayCallView
from kernapay.gateway.calls.repository import GatewayCallRepository
from kernapay.payments.models import Payment
from kernapay.payments.references import gateway_names_of
from kernapay.payments.repository import PaymentRepository
from kernapay.payments.returns import sum_lost, sum_remaining
from kernapay.payments.states import Status
from kernapay.payments.visibility import may_see, may_see_disputes
from kernapay.security.principal import STAFF, Principal, Role
from kernapay.users.repository import UserRepository
from kernapay.webhooks.dtos import WebhookEventView
from kernapay.webhooks.models import EventStatus
from kernapay.webhooks.repository import WebhookRepository

# Of each kind that has rows of its own. A payment has some dozens.
_MOST: Final = 100
_ACTIONS: Final = {
    "payment.refund": "asked for a refund",
    "payment.capture": "captured the payment",
    "payment.check": "asked the gateway about the payment",
}


class PaymentStories:
    def __init__(
        self,
        payments: PaymentRepository,
        views: PaymentSearchRepository,
        events: WebhookRepository,
        deliveries: DeliveryRepository,
        endpoints: EndpointRepository,
        audit: AuditLog,
        users: UserRepository,
        calls: GatewayCallRepository,
    ) -> None:
        self._payments = payments
        self._views = views
        self._events = events
        self._deliveries = deliveries
        self._endpoints = endpoints
        self._audit = audit
        self._users = users
        self._calls = calls

    async def tell(self, caller: Principal, reference_id: str) -> PaymentStory:
        """Return the story of a payment. Raises NotFound, also when the caller may not see it."""
        payment = await self._payments.by_reference(reference_id)
        views = await self._views.by_reference(reference_id)
        if payment is None or not views or not may_see(caller, views[0]):
            raise NotFound("No payment that you may see has this reference.")
        view = views[0]
        entries = list(entries_of(payment))
        is_cut = False
        if caller.is_admin:
            kinds = await self._rows_about(payment)
            is_cut = any(len(rows) >= _MOST for rows in kinds)
            entries += chain.from_iterable(kinds)
            await self._name_actors(entries)
        else:
            view, entries = _for_others(caller, view, entries)
        return PaymentStory(
            payment=view,
            entries=sorted(entries, key=lambda entry: entry.at),
            actions=_actions_of(caller, payment),
            payer=await self._payer(view) if caller.role in STAFF else None,
            amount_lost=sum_lost(payment) if may_see_disputes(caller, view) else None,
            is_cut=is_cut,
        )

    async def gateway_calls(self, reference_id: str) -> list[GatewayCallView]:
        """Return the calls to the gateway about a payment, the newest first. Raises NotFound."""
        payment = await self._payments.by_reference(reference_id)
        if payment is None:
            raise NotFound("No payment has this reference.")
        return await self._calls.about(gateway_names_of(payment), _MOST)

    async def _rows_about(self, payment: Payment) -> list[list[StoryEntry]]:
        """Return the rows of other collections about a payment: calls, events, deliveries and audited actions."""
        event_ids = {step.event_id for step in payment.history if step.event_id}
        event_ids |= {each.event_id for each in payment.mismatches if each.event_id}
        events = await self._events.list_of(sorted(event_ids)[:_MOST]) if event_ids else []
        deliveries = await self._deliveries.list_of_row(str(payment.pk), _MOST)
        acts, _ = await self._audit.search(count=_MOST, target=f"payment:{payment.reference_id}")
        urls = await self._urls_of({each.endpoint for each in deliveries})
        calls = await self._calls.about(gateway_names_of(payment), _MOST)
        return [
            [*map(entry_of_call, calls)],
            [*map(_entry_of_event, events)],
            [_entry_of_delivery(each, urls.get(each.endpoint)) for each in deliveries],
            [*map(_entry_of_act, acts)],
        ]

    async def _urls_of(self, endpoint_ids: Iterable[str]) -> dict[str, str]:
        views = [await self._endpoints.view(each, None) for each in sorted(endpoint_ids)]
        return {view.id: view.url for view in views if view is not None}

    async def _name_actors(self, entries: list[StoryEntry]) -> None:
        actors = [entry.actor for entry in entries if entry.actor is not None]
        names = {
            each: await self._users.name_of(each)
            for each in {actor.id for actor in actors}
            if ObjectId.is_valid(each)
        }
        for actor in actors:
            actor.name = names.get(actor.id)

    async def _payer(self, view: AdminPaymentView) -> Payer:
        user_id = view.user_id
        profile = await self._users.profile(user_id=user_id) if ObjectId.is_valid(user_id) else None
        if profile is None:
            return Payer(user_id)
        name, _, domain = profile.email.partition("@")
        return Payer(user_id, profile.name, f"{name[:1]}…@{domain}")


def _actions_of(caller: Principal, payment: Payment) -> AllowedActions:
    """Return the actions that the caller's role and the payment's state allow. The routes check this again."""
    is_paid_to_caller = caller.role is Role.PROVIDER and str(payment.payee_id) == caller.id
    remaining = sum_remaining(payment) if payment.status is Status.SUCCESS else 0
    return AllowedActions(
        refund=(caller.is_admin or is_paid_to_caller) and remaining > 0,
        capture=(
            caller.is_admin and not payment.status.is_paid and payment.razorpay_order_id is not None
        ),
        check=caller.role in STAFF,
        receipt=payment.status.is_paid,
        refundable=remaining,
    )


def _for_others(
    caller: Principal, view: AdminPaymentView, entries: list[StoryEntry]
) -> tuple[AdminPaymentView, list[StoryEntry]]:
    """Return what callers other than administrators see: the same as from `GET /payments/{referenceId}`."""
    hidden = {EntryKind.MISMATCH, EntryKind.SETTLEMENT}
    disputes = view.disputes
    if not may_see_disputes(caller, view):
        hidden.add(EntryKind.DISPUTE)
        disputes = []
    seen = [entry for entry in entries if entry.kind not in hidden]
    for entry in seen:
        entry.actor = None
    steps = {entry.id for entry in seen}
    view = msgspec.structs.replace(
        view,
        fee=None,
        tax=None,
        authorized_at=None,
        surplus_orders=[],
        mismatches=[],
        disputes=disputes,
        settled_at=None,
        settlements=[],
        history=[
            msgspec.structs.replace(step, actor=None)
            for number, step in enumerate(view.history)
            if f"step-{number}" in steps
        ],
        refunds=[
            msgspec.structs.replace(each, actor=None, source=None, receipt=None)
            for each in view.refunds
        ],
    )
    return view, seen


def _entry_of_event(event: WebhookEventView) -> StoryEntry:
    return StoryEntry(
        id=f"webhook-{event.event_id}",
        at=event.created_at,
        kind=EntryKind.WEBHOOK,
        title=f"Event {event.event} received",
        detail=event.error if event.status is EventStatus.PARKED else None,
        outcome=event.outcome or event.status.value,
        is_failure=event.status is EventStatus.PARKED,
        event=event.event,
        evidence_id=event.event_id,
    )


def _entry_of_delivery(delivery: DeliveryDetail, url: str | None) -> StoryEntry:
    last = delivery.log[-1] if delivery.log else None
    answer = None if last is None else f"{last.code or 'no answer'} in {last.ms} ms"
    attempts = f"{delivery.attempts} attempts" if delivery.attempts > 1 else None
    words = {
        DeliveryState.DONE: "delivered",
        DeliveryState.FAILED: "given up",
        DeliveryState.PENDING: "not delivered yet",
    }
    return StoryEntry(
        id=f"delivery-{delivery.id}",
        at=delivery.done_at or (last.at if last else delivery.created_at),
        kind=EntryKind.DELIVERY,
        title=f"Event {delivery.type} {words[delivery.state]}",
        detail="; ".join(part for part in (url, answer, attempts) if part) or None,
        outcome=delivery.state.value,
        is_failure=delivery.state is DeliveryState.FAILED,
        event=delivery.type.value,
        evidence_id=delivery.id,
    )


def _entry_of_act(act: AuditView) -> StoryEntry:
    after = act.after or {}
    return StoryEntry(
        id=f"audit-{act.id}",
        at=act.created_at,
        kind=EntryKind.PERSON,
        title=_ACTIONS.get(act.action, act.action) + (", which failed" if act.failure else ""),
        outcome=act.failure,
        is_failure=act.failure is not None,
        amount=after.get("amount") if isinstance(after.get("amount"), int) else None,
        actor=StoryActor(act.actor, role=act.actor_role, key_id=act.key_id),
        evidence_id=act.id,
    )
