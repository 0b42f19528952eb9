"""What becomes of an event that the gateway signed, case by case, over a gateway in memory."""

import asyncio
import hashlib
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from bson import ObjectId
from redis import Redis

from kernapay.core.errors import Conflict, NotFound
from kernapay.gateway.base import GatewayPayment, GatewayRefund
from kernapay.payments.states import Status
from kernapay.security.principal import Principal, Role
from kernapay.webhooks.models import EventStatus, WebhookEvent
from tests.aliases import Json, Store
from tests.money.desk import AMOUNT, Desk, counted

pytestmark = pytest.mark.anyio
LABELS = ("processed", "ignored", "foreign", "mismatch", "kept", "repeated")


@pytest.fixture(autouse=True)
def no_marks(redis_client: Redis) -> None:
    """Forget the events of other tests."""
    for key in redis_client.scan_iter("webhook_event:*"):
        redis_client.delete(key)


@pytest.fixture
def operator() -> Principal:
    return Principal(id=str(ObjectId()), role=Role.ADMIN, session_id="inbox")


def count() -> dict[str, float]:
    return {name: counted("kernapay_webhooks_total", outcome=name) for name in LABELS}


def counted_since(before: dict[str, float]) -> dict[str, float]:
    return {name: after - before[name] for name, after in count().items() if after != before[name]}


def event(
    name: Any, created_at: object = 1_700_000_000, **entities: msgspec.Struct | Json
) -> bytes:
    """Return the body of an event, unlike all others."""
    payload = {kind: {"entity": entity} for kind, entity in entities.items()}
    told = {"event": name, "payload": payload, "created_at": created_at, "id": str(ObjectId())}
    return msgspec.json.encode(told)


async def receive(desk: Desk, body: bytes, event_id: str | None = None) -> WebhookEvent:
    """Let the inbox receive a body, and return what it keeps of it."""
    await desk.services.webhook_inbox.receive(body, event_id)
    digest = hashlib.sha256(body).hexdigest()
    return await desk.services.webhook_repository.get(body_hash=digest)


async def test_an_event_is_kept_as_it_came_and_processed_at_once(
    desk: Desk, store: Store, redis_client: Redis
) -> None:
    payment = await desk.payment()
    body, before = event("payment.captured", payment=desk.pay(payment)), count()
    await receive(desk, body, "evt_7")
    (row,) = await asyncio.to_thread(lambda: list(store.webhook_events.find()))
    at = desk.clock()
    assert {**row, "_id": 0} == {
        "_id": 0,
        "eventId": "evt_7",
        "bodyHash": hashlib.sha256(body).hexdigest(),
        "body": body,
        "event": "payment.captured",
        "status": "processed",
        "outcome": "moved",
        "error": None,
        "attempts": 0,
        "nextAt": at + timedelta(seconds=30),
        "processedAt": at,
        "createdAt": at,
        "updatedAt": at,
    }
    assert counted_since(before) == {"processed": 1}
    step = (await desk.row(payment)).history[-1]
    assert (step.status, step.source, step.event, step.event_id) == (
        *("success", "webhook", "payment.captured", "evt_7"),
    )
    lifetime = await asyncio.to_thread(redis_client.ttl, "webhook_event:evt_7")
    assert 86_390 < lifetime <= 86_400


async def test_a_repeat_is_known_by_its_id_or_its_body_with_and_without_the_cache(
    desk: Desk, store: Store, redis_client: Redis
) -> None:
    paid = desk.pay(await desk.payment())
    body = event("payment.captured", payment=paid)
    await receive(desk, body, "evt_7")
    before = count()
    inbox = desk.services.webhook_inbox
    await inbox.receive(body, "evt_7")
    await asyncio.to_thread(redis_client.delete, "webhook_event:evt_7")
    await inbox.receive(event("payment.captured", payment=paid), "evt_7")
    await inbox.receive(body, "evt_8")
    await inbox.receive(body, None)
    assert counted_since(before) == {"repeated": 4}
    assert await asyncio.to_thread(store.webhook_events.count_documents, {}) == 1

    unnamed = event("payment.captured", payment=paid)
    row = await receive(desk, unnamed, None)
    assert row.event_id == f"sha256-{row.body_hash}"
    assert (row.status, row.outcome) == (EventStatus.PROCESSED, "unchanged")


@pytest.mark.parametrize(
    ("name", "outcome", "is_sold"),
    [
        ("payment.captured", "captured", True),
        ("order.paid", "captured", True),
        ("payment.authorized", "authorized", False),
        ("payment.failed", "failed", False),
    ],
)
async def test_each_event_of_a_payment_is_evidence_of_what_it_says(
    desk: Desk, name: str, outcome: str, is_sold: bool
) -> None:
    payment = await desk.payment()
    attempt = desk.pay(payment, outcome)
    # Such as in the samples of the gateway's pages: a refund beside it is of no account.
    refund = GatewayRefund("rfnd_1", attempt.id, AMOUNT, "INR", "processed")
    row = await receive(desk, event(name, payment=attempt, refund=refund))
    assert (row.status, row.outcome) == (EventStatus.PROCESSED, "moved")
    after = await desk.row(payment)
    expected = {"authorized": Status.PENDING, "failed": Status.FAILED}
    assert after.status is expected.get(outcome, Status.SUCCESS)
    assert (after.amount_paid == AMOUNT, after.refunds) == (is_sold, [])
    assert after.history[-1].event == name


@pytest.mark.parametrize("name", ["refund.created", "refund.processed", "refund.a_new_one"])
async def test_an_event_of_a_refund_is_entered_with_the_refund_it_brings(
    desk: Desk, name: str
) -> None:
    payment, paid = await desk.sold()
    refund = desk.gateway.refund_now(paid.id, 700, None)
    await receive(desk, event(name, payment=paid, refund=refund))
    row = await desk.row(payment)
    assert (row.amount_refunded, [each.refund_id for each in row.refunds]) == (700, [refund.id])


async def test_an_event_that_waited_is_judged_by_its_own_time(desk: Desk) -> None:
    payment = await desk.ended()
    paid, in_time = desk.pay(payment), int(desk.clock().timestamp())
    desk.clock.advance(days=8)
    row = await receive(desk, event("payment.captured", str(in_time), payment=paid))
    assert (row.outcome, (await desk.row(payment)).status) == ("moved", Status.SUCCESS)


FOREIGN = GatewayPayment("pay_1", 1, "INR", "captured", order_id=None, captured=True)


@pytest.mark.parametrize(
    ("told", "entities", "name", "status", "label"),
    [
        ("invoice.paid", {"payment": FOREIGN}, "invoice.paid", "ignored", "ignored"),
        ("payment.captured", {"payment": FOREIGN}, "payment.captured", "ignored", "foreign"),
        ("payment.captured", {}, "payment.captured", "parked", "kept"),
        ("payment.captured", {"payment": {"id": 5}}, "payment.captured", "parked", "kept"),
        ("refund.processed", {"payment": FOREIGN}, "refund.processed", "parked", "kept"),
        ("payment.dispute.created", {}, "payment.dispute.created", "parked", "kept"),
        ("settlement.processed", {}, "settlement.processed", "parked", "kept"),
        ("x" * 101, {}, "x" * 100, "ignored", "ignored"),
        ("", {}, "unreadable", "parked", "kept"),
        (5, {}, "unreadable", "parked", "kept"),
        (b"[]", {}, "unreadable", "parked", "kept"),
        (b"{", {}, "unreadable", "parked", "kept"),
    ],
)
async def test_what_is_not_for_us_is_ignored_and_what_cannot_be_read_waits_for_a_person(
    desk: Desk, told: Any, entities: Json, name: str, status: str, label: str
) -> None:
    body = told if isinstance(told, bytes) else event(told, **entities)
    before = count()
    row = await receive(desk, body)
    assert (row.event, row.status) == (name, status)
    assert counted_since(before) == {label: 1}
    is_parked = status == "parked"
    assert (str(row.error).startswith("Unreadable: "), row.outcome is None) == (
        *(is_parked, is_parked),
    )
    assert (row.processed_at is None, row.attempts) == (is_parked, int(is_parked))


async def test_a_mismatch_is_processed_and_counted(desk: Desk) -> None:
    payment = await desk.payment()
    paid = desk.keep(desk.pay(payment), currency="USD")
    before = count()
    row = await receive(desk, event("payment.captured", payment=paid))
    assert (row.status, row.outcome) == (EventStatus.PROCESSED, "mismatch")
    assert counted_since(before) == {"mismatch": 1}
    assert await desk.mismatches(payment) == ["currency"]


async def test_disputes_and_settlements_go_to_those_who_keep_them(desk: Desk) -> None:
    payment, paid = await desk.sold()
    dispute, before = desk.gateway.dispute(paid.id, 700, "chargeback"), count()
    at = int(desk.clock().timestamp()) - 9
    row = await receive(desk, event("payment.dispute.created", at, dispute=dispute), "evt_7")
    assert (row.status, row.outcome) == (EventStatus.PROCESSED, "moved")
    after = await desk.row(payment)
    assert [(each.dispute_id, each.as_of) for each in after.disputes] == [(dispute.id, at)]
    assert (after.history[-1].event, after.history[-1].event_id) == (row.event, "evt_7")

    settlement = {"id": "setl_1", "amount": 5, "status": "processed", "created_at": at}
    row = await receive(desk, event("settlement.processed", settlement=settlement))
    assert (row.status, row.outcome) == (EventStatus.PROCESSED, "noted")
    stored = await desk.services.settlement_repository.get(settlement_id="setl_1")
    assert stored.amount == 5
    assert counted_since(before) == {"processed": 2}


async def test_what_cannot_be_processed_now_is_left_to_the_worker(
    desk: Desk, redis_client: Redis
) -> None:
    payment = await desk.payment()
    paid = desk.pay(payment)
    await desk.services.payment_ledger.update_where(
        {"id": payment.pk}, unset__order_id=True, unset__razorpay_order_id=True
    )
    desk.gateway.silent, before = "question", count()
    row = await receive(desk, event("payment.captured", payment=paid), "evt_7")
    assert (row.status, row.attempts, row.error) == (
        *(EventStatus.PENDING, 1, "GatewayUnknown: The payment gateway did not answer."),
    )
    assert row.next_at == desk.clock() + timedelta(seconds=2)
    assert counted_since(before) == {"kept": 1}
    assert not await asyncio.to_thread(redis_client.exists, "webhook_event:evt_7")

    inbox = desk.services.webhook_inbox
    assert await inbox.sweep() is False
    desk.clock.advance(seconds=2)
    assert [await inbox.sweep(), await inbox.sweep()] == [True, False]
    row = await desk.services.webhook_repository.get(event_id="evt_7")
    assert (row.status, row.outcome, row.error) == (EventStatus.PROCESSED, "moved", None)
    assert (await desk.row(payment)).status is Status.SUCCESS


class TestPersons:
    """What a person does with events that wait."""

    async def parked(self, desk: Desk, event_id: str, name: str = "payment.captured") -> None:
        row = await receive(desk, event(name), event_id)
        assert row.status is EventStatus.PARKED

    async def audited(self, store: Store, operator: Principal) -> Json:
        """Return what was written down last of what an operator did."""
        newest = store.audit_log.find({"actor": operator.id}).sort("_id", -1).limit(1)
        (entry,) = await asyncio.to_thread(list, newest)
        return {name: entry.get(name) for name in ("action", "target", "after")}

    async def test_what_is_ended_rests_for_good_and_only_what_is_parked_can_be(
        self, desk: Desk, store: Store, operator: Principal
    ) -> None:
        await self.parked(desk, "evt_1")
        inbox = desk.services.webhook_inbox
        desk.clock.advance(minutes=1)
        await inbox.end(operator, "evt_1", "a test of theirs")
        assert await self.audited(store, operator) == {
            "action": "webhook.end",
            "target": "event:evt_1",
            "after": {"reason": "a test of theirs"},
        }
        row = await desk.services.webhook_repository.get(event_id="evt_1")
        assert (row.status, row.outcome, row.processed_at) == (
            *(EventStatus.IGNORED, "ended by a person: a test of theirs", desk.clock()),
        )
        with pytest.raises(Conflict):
            await inbox.end(operator, "evt_1", "again")
        with pytest.raises(NotFound, match=r"^No event has this id\.$") as unknown:
            await inbox.end(operator, "evt_2", "never came")
        assert unknown.value.field == "eventId"
        with pytest.raises(NotFound):
            await inbox.replay(operator, "evt_2")

    async def test_a_replay_takes_those_first_that_wait_longest_and_only_of_the_status(
        self, desk: Desk, store: Store, operator: Principal
    ) -> None:
        _, paid = await desk.sold()
        await receive(desk, event("payment.captured", payment=paid), "evt_done")
        for number in (1, 2, 3):
            await self.parked(desk, f"evt_{number}")
            desk.clock.advance(minutes=1)
        inbox, told = desk.services.webhook_inbox, []

        def progress(done: int, total: int) -> None:
            told.append((done, total))

        async def due() -> list[str]:
            rows = await desk.services.webhook_repository.list(status=EventStatus.PARKED)
            at = desk.clock() + timedelta(minutes=2)
            return sorted(row.event_id for row in rows if row.next_at == at)

        assert await inbox.replay_all(operator, EventStatus.PARKED, 2, progress) == 2
        assert (await due(), told) == (["evt_1", "evt_2"], [(1, 2), (2, 2)])
        desk.clock.advance(minutes=1)
        assert await inbox.replay_all(operator, EventStatus.PARKED, 1) == 1
        assert await due() == ["evt_3"]
        assert await inbox.replay_all(operator, EventStatus.PARKED, None) == 3
        assert await inbox.replay_all(operator, EventStatus.PENDING) == 0
        assert await self.audited(store, operator) == {
            "action": "webhook.replay_all",
            "target": None,
            "after": {"status": "pending"},
        }

        desk.clock.advance(minutes=1)
        await inbox.replay(operator, "evt_done")
        assert await self.audited(store, operator) == {
            "action": "webhook.replay",
            "target": "event:evt_done",
            "after": None,
        }
        row = await desk.services.webhook_repository.get(event_id="evt_done")
        assert (row.status, row.outcome, row.processed_at) == (
            *(EventStatus.PROCESSED, "unchanged", desk.clock()),
        )

    async def test_they_are_listed_newest_first_by_status_and_kind_and_counted(
        self, desk: Desk
    ) -> None:
        for number, name in enumerate(("payment.captured", "payment.failed", "payment.captured")):
            await self.parked(desk, f"evt_{number}", name)
            desk.clock.advance(minutes=1)
        ignored = event("invoice.paid")
        await receive(desk, ignored, "evt_3")
        events = desk.services.webhook_repository

        async def page(
            status: EventStatus | None, name: str | None, skip: int = 0, count: int = 9
        ) -> list[str]:
            found = await events.page(status, name, skip=skip, count=count)
            return [each.event_id for each in found]

        assert await page(None, None) == ["evt_3", "evt_2", "evt_1", "evt_0"]
        assert await page(None, None, skip=1, count=2) == ["evt_2", "evt_1"]
        assert await page(EventStatus.PARKED, "payment.captured") == ["evt_2", "evt_0"]
        assert await page(None, "invoice.paid") == ["evt_3"]
        found = await events.by_event_id("evt_3")
        assert found is not None
        assert (found[0].event_id, found[0].status, found[1]) == ("evt_3", "ignored", ignored)
        assert await events.by_event_id("evt_4") is None
        (family,) = await desk.services.webhook_inbox.gauges()
        assert {sample.labels["status"]: sample.value for sample in family.samples} == {
            "pending": 0,
            "parked": 3,
        }
        assert await events.count_up_to(2, EventStatus.PARKED) == 2
