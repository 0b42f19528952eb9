"""What reached the bank account: read from the gateway, entered into payments, and added up to the paisa."""

import asyncio
import csv
import io
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import msgspec
import pytest

from kernapay.bootstrap.services import Services
from kernapay.core.business_days import BusinessDays
from kernapay.core.clock import Clock, now
from kernapay.settlements.feed import read_row
from kernapay.settlements.models import BankSettlement
from tests.actors import PAYMENTS, SETTLEMENTS, Actor, assert_problem, send_event
from tests.aliases import Json
from tests.money.books import read, settle
from tests.money.disputes import raise_dispute, tell
from tests.money.fake_gateway import FakeGateway
from tests.money.shop import Shop
from tests.stack import METRICS_TOKEN, Api, bearer
from tests.waiting import eventually

DAY = 86_400
INDIA = BusinessDays(ZoneInfo("Asia/Kolkata"))
EVER = {"from": "2020-01-01", "to": "2099-01-01"}
COLLECTIONS = ("settlements", "settlement_rows", "settlement_sums", "payments")


def edit(shop: Shop, settlement: Json, **change: Any) -> None:
    """Let the gateway say something else of a settlement from now on."""
    books = shop.sandbox.call("GET", "/_sandbox/snapshot")
    for each in books["settlement"]:
        if each["id"] == settlement["id"]:
            each.update(change)
    shop.sandbox.call("PUT", "/_sandbox/snapshot", books)


def adjust(shop: Shop, **terms: Any) -> Json:
    return shop.sandbox.call("POST", "/_sandbox/adjustments", terms)


def ask(admin: Actor, path: str = "", **query: Any) -> Any:
    answer = admin.call("GET", f"{SETTLEMENTS}{path}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def ledger(admin: Actor, days_ahead: int = 1) -> Json:
    today = INDIA.day_of(datetime.now(UTC))
    query = {"from": today - timedelta(days=1), "to": today + timedelta(days=days_ahead + 1)}
    return dict(ask(admin, "/ledger", **{name: str(day) for name, day in query.items()}))


def net(lines: Sequence[Mapping[str, Any]]) -> int:
    return sum(line["total"]["net"] for line in lines)


def stored(shop: Shop) -> dict[str, list[Json]]:
    return {name: list(shop.store[name].find().sort("_id")) for name in COLLECTIONS}


class TestAMonthAtTheBank:
    def test_days_of_payments_refunds_and_adjustments_add_up_to_the_paisa(
        self, shop: Shop, user: Actor, admin: Actor
    ) -> None:
        bank = []
        amounts = iter([50_000, 33_333, 12_345, 99_999, 10_001, 77_777, 100])
        for _ in range(3):
            bought = [user.buy(shop.sandbox, amount=next(amounts)) for _ in range(2)]
            shop.sandbox.advance(3600)
            key = {"amount": 3_333, "idempotencyKey": "k"}
            path = f"{PAYMENTS}/{bought[0][0]['referenceId']}/refunds"
            assert admin.call("POST", path, json=key).status_code == 201
            adjust(shop, credit=1_012, description="Fee correction")
            adjust(shop, type="transfer", debit=2_296, fee=296, tax=46)
            bank.append(settle(shop))
            shop.sandbox.advance(DAY)
        waiting, _ = user.buy(shop.sandbox, amount=next(amounts))

        assert read(shop, timedelta(days=4)) > 0

        listed = ask(admin)
        assert [each["settlementId"] for each in listed] == [each["id"] for each in bank[::-1]]
        assert [each["amount"] for each in listed] == [each["amount"] for each in bank[::-1]]
        for each in listed:
            assert each["credit"] - each["debit"] == each["amount"]
            assert (each["difference"], each["problems"], each["rows"]) == (0, [], 5)
        found = ledger(admin, 5)
        assert net(found["bySettledDay"]) == sum(each["amount"] for each in bank)
        assert net(found["byPaidDay"]) == net(found["bySettledDay"])
        assert all(day["difference"] == 0 for day in found["bySettledDay"])
        rows = list(shop.store.settlement_rows.find())
        for name in ("fee", "tax"):
            told = sum(day["total"][name] for day in found["bySettledDay"])
            assert told == sum(row[name] for row in rows) > 0, name
        assert [day["bank"] for day in found["bySettledDay"]] == [each["amount"] for each in bank]
        for lines in (found["byPaidDay"], found["bySettledDay"]):
            for line in lines:
                parts = line["types"].values()
                assert line["total"]["net"] == sum(part["net"] for part in parts)
        assert sum(day["unsettled"] for day in found["byPaidDay"]) == 1
        assert [day["unsettledAmounts"] for day in found["byPaidDay"] if day["unsettled"]] == [
            {"INR": waiting["amount"]}
        ]

    def test_a_settlement_shows_its_rows_and_what_they_add_up_to(
        self, shop: Shop, user: Actor, admin: Actor
    ) -> None:
        payment, checkout = user.buy(shop.sandbox)
        chargeback = adjust(shop, debit=1_000, dispute_id="disp_KpSandbox00001")
        settlement = settle(shop)
        read(shop)

        detail = ask(admin, f"/{settlement['id']}")

        assert detail["currency"] == "INR"
        assert detail["net"] == detail["settlement"]["amount"] == 50_000 - 1_180 - 1_000
        rows = {row["entityId"]: row for row in detail["rows"]}
        assert rows.keys() == {checkout["razorpay_payment_id"], chargeback["id"]}
        paid = rows[checkout["razorpay_payment_id"]]
        assert (paid["credit"], paid["fee"], paid["tax"]) == (48_820, 1_180, 180)
        assert paid["referenceId"] == payment["referenceId"]
        assert paid["utr"] == settlement["utr"] == detail["settlement"]["utr"]
        taken = rows[chargeback["id"]]
        assert (taken["debit"], taken["disputeId"]) == (1_000, "disp_KpSandbox00001")
        assert (taken["paymentId"], taken["utr"], taken["referenceId"]) == (None, None, None)
        assert ask(admin, f"/{settlement['id']}", count=1, skip=1)["rows"] == detail["rows"][1:]
        assert_problem(admin.call("GET", f"{SETTLEMENTS}/setl_unknown"), 404)


def test_what_a_dispute_takes_is_entered_in_its_payment(
    shop: Shop, user: Actor, admin: Actor
) -> None:
    """Its row names the dispute alone."""
    payment, checkout = user.buy(shop.sandbox)
    raised = raise_dispute(shop, checkout["razorpay_payment_id"])
    tell(admin.client, "created", raised)
    taken = adjust(shop, debit=50_000, dispute_id=raised["id"])
    user.buy(shop.sandbox)  # the bank pays out what is more than nothing
    settlement = settle(shop)
    read(shop)

    rows = {row["entityId"]: row for row in ask(admin, f"/{settlement['id']}")["rows"]}
    assert rows[taken["id"]]["referenceId"] == payment["referenceId"]
    entered = {row["entityId"]: row for row in shop.row(payment)["settlements"]}
    assert entered[taken["id"]]["debit"] == 50_000


class TestTheLedger:
    @pytest.mark.parametrize("seed", [1, 2, 3])
    @pytest.mark.parametrize("zone", ["Asia/Kolkata", "America/New_York", "Asia/Kathmandu"])
    def test_any_rows_in_any_order_add_up_by_day_and_in_all(
        self, seed: int, zone: str, shop: Shop, admin: Actor
    ) -> None:
        chance = random.Random(seed)
        start = datetime(2026, 3, 1, tzinfo=UTC)
        settlements = {
            f"setl_{number}": start + timedelta(hours=chance.randrange(24 * 40))
            for number in range(8)
        }
        raws: list[Json] = [
            {
                "entity_id": f"row_{number}",
                "type": chance.choice(["payment", "refund", "adjustment", "something new"]),
                "credit": chance.randrange(10**9),
                "debit": chance.randrange(10**9),
                "fee": chance.randrange(10**4),
                "tax": chance.randrange(10**3),
                "settlement_id": chance.choice([*settlements, None]),
                "created_at": int(start.timestamp()) + chance.randrange(40 * DAY),
            }
            for number in range(300)
        ]
        days = BusinessDays(ZoneInfo(zone))
        first, last = date(2026, 2, 27), date(2026, 4, 15)

        async def keep(services: Services) -> Json:
            for _ in range(3):
                chance.shuffle(raws)
                for begin in range(0, len(raws), 70):
                    rows = [read_row(raw) for raw in raws[begin : begin + chance.randrange(40, 90)]]
                    await services.settlement_row_repository.keep(rows)
            await services.settlement_row_repository.keep([read_row(raw) for raw in raws])
            for name, at in settlements.items():
                amount = sum(
                    raw["credit"] - raw["debit"] for raw in raws if raw["settlement_id"] == name
                )
                found = BankSettlement(
                    settlement_id=name, status="processed", amount=amount, settled_at=at
                )
                await services.settlement_repository.keep(found, is_current=True)
            await services.settlement_reader.add_up(set(settlements))
            found_ledger = await services.settlement_reports.ledger(first, last)
            return dict(msgspec.to_builtins(found_ledger))

        found = shop.work(keep, business_timezone=zone)

        expected: dict[str, int] = {}
        for raw in raws:
            if raw["settlement_id"] is not None:
                day = str(days.day_of(datetime.fromtimestamp(raw["created_at"], UTC)))
                expected[day] = expected.get(day, 0) + raw["credit"] - raw["debit"]
        assert {line["day"]: line["total"]["net"] for line in found["byPaidDay"]} == expected
        assert net(found["byPaidDay"]) == net(found["bySettledDay"]) == sum(expected.values())
        assert sum(line["bank"] for line in found["bySettledDay"]) == sum(expected.values())
        assert {line["difference"] for line in found["bySettledDay"]} == {0}
        assert {line["day"] for line in found["bySettledDay"]} == {
            str(days.day_of(at)) for at in settlements.values()
        }


class TestThePayment:
    def test_payment_and_refund_show_their_settlement_to_administrators_only(
        self, shop: Shop, user: Actor, admin: Actor
    ) -> None:
        payment, checkout = user.buy(shop.sandbox)
        first = settle(shop)
        path = f"{PAYMENTS}/{payment['referenceId']}/refunds"
        body = {"amount": 20_000, "idempotencyKey": "k"}
        refund = admin.call("POST", path, json=body).json()["data"]
        user.buy(shop.sandbox)  # without it, nothing would be left to pay out
        second = settle(shop)
        before = shop.row(payment)
        read(shop)

        seen = admin.seen(payment["referenceId"])
        assert seen["settledAt"] is not None
        shown = {
            each["entityId"]: (each["settlementId"], each["type"], each["credit"], each["debit"])
            for each in seen["settlements"]
        }
        assert shown == {
            checkout["razorpay_payment_id"]: (first["id"], "payment", 48_820, 0),
            refund["refundId"]: (second["id"], "refund", 0, 20_000),
        }
        (own,) = [each for each in seen["settlements"] if each["type"] == "payment"]
        assert (own["fee"], own["tax"], own["utr"]) == (1_180, 180, first["utr"])
        of_user = user.seen(payment["referenceId"])
        assert (of_user["settledAt"], of_user["settlements"]) == (None, [])
        # Nothing that a payer sees has changed.
        after = shop.row(payment)
        assert (after["updatedAt"], after["history"]) == (before["updatedAt"], before["history"])

    def test_an_export_names_the_settlement(self, shop: Shop, user: Actor, admin: Actor) -> None:
        payment, _ = user.buy(shop.sandbox)
        settlement = settle(shop)
        read(shop)
        text = admin.call("GET", f"{PAYMENTS}/export", params=EVER).text
        (row,) = csv.DictReader(io.StringIO(text))
        assert row["referenceId"] == payment["referenceId"]
        assert (row["fee"], row["tax"], row["settledAmount"]) == ("1180", "180", "48820")
        assert (row["settlementId"], row["settlementUtr"]) == (settlement["id"], settlement["utr"])
        assert row["settledOn"] == str(INDIA.day_of(datetime.fromisoformat(row["settledAt"])))

    def test_a_payment_that_we_hear_of_after_its_settlement_is_entered_by_the_next_read(
        self, shop: Shop, user: Actor, admin: Actor
    ) -> None:
        payment = user.new_payment()
        shop.sandbox.pay(payment["orderId"])
        settle(shop)
        read(shop)
        assert shop.row(payment)["status"] == "pending"
        shop.settle_later()
        read(shop, timedelta(days=2))
        assert admin.seen(payment["referenceId"])["settledAt"] is not None


class TestReading:
    def test_repeated_and_reordered_reads_change_nothing(
        self, shop: Shop, user: Actor, admin: Actor
    ) -> None:
        for _ in range(3):
            user.buy(shop.sandbox)
        adjust(shop, credit=5)
        settlement = settle(shop)
        read(shop)
        before = stored(shop)

        async def keep_again(services: Services) -> None:
            rows = await services.settlement_row_repository.list(settlement_id=settlement["id"])
            for _ in range(3):
                random.shuffle(rows)
                for row in rows:
                    row.pk = None
                await services.settlement_row_repository.keep(rows)

        shop.work(keep_again)
        assert read(shop, timedelta(days=2)) > 0
        assert stored(shop) == before

    def test_days_without_a_worker_are_made_up_oldest_first(
        self, shop: Shop, user: Actor, admin: Actor
    ) -> None:
        user.buy(shop.sandbox)
        settle(shop)
        read(shop)
        shop.sandbox.advance(DAY)
        user.buy(shop.sandbox)
        missed = settle(shop)
        # The event comes to an API after days without a worker.
        shop.sandbox.advance(9 * DAY)
        user.buy(shop.sandbox)
        event = settle(shop)

        async def note(services: Services) -> None:
            assert await services.settlement_reader.note(event)

        shop.work(note, timedelta(days=10))
        read(shop, timedelta(days=10))

        listed = ask(admin)
        assert [each["settlementId"] for each in listed][:2] == [event["id"], missed["id"]]
        assert [each["problems"] for each in listed] == [[], [], []]
        days = [row["day"] for row in shop.store.settlement_days.find().sort("day")]
        assert len(days) == 11
        assert [row["readAt"] is not None for row in shop.store.settlement_days.find()] == [
            True
        ] * 11

    def test_a_gateway_that_is_away_leaves_the_day_due(self, shop: Shop, user: Actor) -> None:
        user.buy(shop.sandbox)
        settle(shop)
        read(shop, razorpay_key_secret="not_the_secret_of_this_key")
        (day,) = shop.store.settlement_days.find()
        assert (day["isOpen"], bool(day["error"]), day.get("readAt")) == (True, True, None)
        assert shop.store.settlements.count_documents({}) == 0
        read(shop, timedelta(hours=2))
        assert shop.store.settlements.count_documents({}) == 1

    def test_after_a_failure_the_other_days_wait_a_while(self, shop: Shop, user: Actor) -> None:
        payment, _ = user.buy(shop.sandbox)
        shop.edit(payment, createdAt=datetime.now(UTC) - timedelta(days=20))

        async def fail_once(services: Services) -> int:
            while await services.settlement_reader.sweep():
                pass
            failed = await services.settlement_day_repository.list(day__gt="2020")
            return sum(bool(day.error) for day in failed)

        assert shop.work(fail_once, razorpay_key_secret="not_the_secret_of_this_key") == 1
        assert read(shop, timedelta(minutes=3)) == 21

    def test_an_event_of_a_time_to_come_asks_for_no_day_to_come(
        self, shop: Shop, user: Actor
    ) -> None:
        settlement = {"id": "setl_KpSandbox00001", "amount": 1, "status": "processed"}

        async def note(services: Services) -> bool:
            return await services.settlement_reader.note(
                {**settlement, "created_at": 4_000_000_000}
            )

        assert shop.work(note) is True
        (day,) = shop.store.settlement_days.find()
        assert day["day"] == str(INDIA.day_of(datetime.now(UTC)))

    def test_an_event_brings_the_settlement_at_once_and_its_rows_soon(
        self, shop: Shop, api: httpx.Client, api_server: Api, user: Actor, admin: Actor
    ) -> None:
        user.buy(shop.sandbox)
        read(shop)
        shop.sandbox.deliver_to(api_server.url, events=("settlement.processed",))
        settlement = settle(shop)

        def listed() -> list[Json]:
            return list(ask(admin))

        (found,) = eventually(listed)
        assert (found["settlementId"], found["utr"]) == (settlement["id"], settlement["utr"])
        read(shop)
        (found,) = ask(admin)
        assert (found["rows"], found["difference"]) == (1, 0)

    @pytest.mark.parametrize("days_later", [0, 40])
    def test_an_event_while_its_day_is_read_has_the_day_read_again(
        self, days_later: int, shop: Shop, user: Actor
    ) -> None:
        """Also when that was the last read of the day: its rows may have come after it had passed them."""
        user.buy(shop.sandbox)

        async def told_meanwhile(services: Services) -> int:
            telling = TellingGateway(now, settle(shop), services)
            vars(services)["payment_gateway"] = telling
            assert await services.settlement_reader.sweep() is True
            while await services.settlement_reader.sweep():
                pass
            return telling.reads

        assert shop.work(told_meanwhile, timedelta(days=days_later)) == 2 + days_later

    @pytest.mark.parametrize(
        "payload",
        [{}, {"settlement": {}}, {"settlement": {"entity": {}}}, {"settlement": {"entity": []}}],
    )
    def test_an_event_without_a_settlement_is_parked(
        self, shop: Shop, api: httpx.Client, payload: Json
    ) -> None:
        body = msgspec.json.encode({"event": "settlement.processed", "payload": payload})
        assert send_event(api, body=body).status_code == 200
        (row,) = shop.store.webhook_events.find()
        assert (row["status"], row["event"]) == ("parked", "settlement.processed")

    def test_a_utr_that_comes_later_is_added(self, shop: Shop, user: Actor, admin: Actor) -> None:
        payment, _ = user.buy(shop.sandbox)
        created = settle(shop, status="created")
        edit(shop, created, status="processed")
        read(shop)
        (own,) = admin.seen(payment["referenceId"])["settlements"]
        assert (own["utr"], ask(admin)[0]["utr"]) == (None, None)
        edit(shop, created, utr="1568176960vxp0rj")
        read(shop, timedelta(hours=2))
        (own,) = admin.seen(payment["referenceId"])["settlements"]
        assert own["utr"] == ask(admin)[0]["utr"] == "1568176960vxp0rj"

        async def old_event(services: Services) -> None:
            assert await services.settlement_reader.note(created)

        shop.work(old_event)
        assert (ask(admin)[0]["status"], ask(admin)[0]["utr"]) == ("processed", own["utr"])

    def test_a_settlement_settles_nothing_until_it_is_processed(
        self, shop: Shop, user: Actor, admin: Actor
    ) -> None:
        payment, _ = user.buy(shop.sandbox)
        created = settle(shop, status="created")
        read(shop)
        seen = admin.seen(payment["referenceId"])
        assert (seen["settledAt"], seen["settlements"]) == (None, [])
        assert (ask(admin)[0]["status"], ask(admin)[0]["rows"]) == ("created", 1)
        assert ledger(admin)["bySettledDay"] == []
        (day,) = ledger(admin)["byPaidDay"]
        assert (day["total"]["rows"], day["unsettled"]) == (0, 1)

        shop.sandbox.call("POST", f"/_sandbox/settlements/{created['id']}/process", {})
        read(shop, timedelta(hours=2))

        seen = admin.seen(payment["referenceId"])
        assert seen["settledAt"] is not None
        assert [each["settlementId"] for each in seen["settlements"]] == [created["id"]]
        (day,) = ledger(admin)["byPaidDay"]
        assert (day["total"]["rows"], day["unsettled"]) == (1, 0)

    def test_a_partial_settlement_leaves_the_rest_for_the_next(
        self, shop: Shop, user: Actor, admin: Actor
    ) -> None:
        payments = [user.buy(shop.sandbox)[0] for _ in range(3)]
        settle(shop, limit=100_000)
        read(shop)
        settled = [admin.seen(each["referenceId"])["settledAt"] for each in payments]
        assert [at is not None for at in settled] == [True, True, False]
        settle(shop)
        read(shop, timedelta(hours=2))
        assert admin.seen(payments[2]["referenceId"])["settledAt"] is not None
        assert [each["difference"] for each in ask(admin)] == [0, 0]


class OnePageGateway(FakeGateway):
    """A gateway whose feed gives its first page whatever is skipped."""

    async def settlement_rows(
        self, year: int, month: int, day: int, *, skip: int, count: int
    ) -> Sequence[Mapping[str, Any]]:
        row = {"type": "adjustment", "credit": 0, "debit": 0}
        return [{**row, "entity_id": f"adj_{number}"} for number in range(count)]


class TellingGateway(FakeGateway):
    """A gateway that tells of a settlement when the rows of its day have just been read."""

    def __init__(self, clock: Clock, settlement: Json, services: Services) -> None:
        super().__init__(clock)
        self.reads = 0
        self._settlement = settlement
        self._services = services

    async def settlement_rows(
        self, year: int, month: int, day: int, *, skip: int, count: int
    ) -> Sequence[Mapping[str, Any]]:
        self.reads += 1
        if self.reads == 1:
            assert await self._services.settlement_reader.note(self._settlement)
        return []


class TestOddRows:
    def test_a_feed_that_ignores_what_is_skipped_comes_to_an_end(
        self, shop: Shop, user: Actor
    ) -> None:
        user.new_payment()

        async def read_once(services: Services) -> bool:
            vars(services)["payment_gateway"] = OnePageGateway(now)
            async with asyncio.timeout(20):
                return await services.settlement_reader.sweep()

        assert shop.work(read_once) is True
        assert shop.store.settlement_rows.count_documents({}) == 1000

    def test_rows_of_other_applications_and_unknown_types_are_kept(
        self, shop: Shop, user: Actor, admin: Actor
    ) -> None:
        user.buy(shop.sandbox)
        foreign = shop.sandbox.order(receipt="another application's")
        shop.sandbox.pay(foreign["id"])
        adjust(shop, type="reserve_release", credit=7)
        settlement = settle(shop)
        read(shop)
        detail = ask(admin, f"/{settlement['id']}")
        assert (detail["settlement"]["difference"], len(detail["rows"])) == (0, 3)
        ours = {row["type"]: row["referenceId"] is not None for row in detail["rows"]}
        assert ours["reserve_release"] is False
        assert sum(row["referenceId"] is not None for row in detail["rows"]) == 1

    @pytest.mark.parametrize("foreign_rows", ["base", "payment"])
    def test_dollars_are_settled_in_rupees_and_nothing_is_wrong_with_that(
        self, foreign_rows: str, shop: Shop, user: Actor, admin: Actor
    ) -> None:
        shop.sandbox.call("POST", "/_sandbox/reset")
        order = shop.sandbox.call("POST", "/v1/orders", {"amount": 10_000, "currency": "USD"})
        checkout = shop.sandbox.pay(order["id"])
        payment = user.new_payment()
        change = {"orderId": order["id"], "razorpayOrderId": order["id"], "currency": "USD"}
        shop.edit(payment, amount=10_000, **change)
        settlement = settle(shop, foreign_rows=foreign_rows)
        read(shop)

        detail = ask(admin, f"/{settlement['id']}")
        (row,) = detail["rows"]
        fee = shop.sandbox.payment(checkout["razorpay_payment_id"])["fee"]
        assert row["credit"] == settlement["amount"] == 830_000 - fee
        assert row["currency"] == ("INR" if foreign_rows == "base" else "USD")
        assert (row["referenceId"], detail["settlement"]["problems"]) == (
            payment["referenceId"],
            [],
        )

    def test_a_row_that_cannot_be_read_is_told_and_holds_up_no_other(
        self, shop: Shop, user: Actor, admin: Actor
    ) -> None:
        payment, _ = user.buy(shop.sandbox)
        settlement = settle(shop)

        async def keep(services: Services) -> None:
            odd = {"entity_id": "pay_odd", "type": "payment", "settlement_id": settlement["id"]}
            await services.settlement_row_repository.keep(
                [read_row({**odd, "credit": 118.5, "debit": 0}), read_row("nothing"), read_row(odd)]
            )

        shop.work(keep)
        read(shop)
        (found,) = ask(admin, hasProblem=True)
        assert found["problems"] == ["unreadable_rows"]
        rows = ask(admin, f"/{settlement['id']}")["rows"]
        assert [row["flaw"] for row in rows if row["flaw"]] == ["credit is not an amount"]
        assert admin.seen(payment["referenceId"])["settledAt"] is not None

    def test_a_row_that_can_be_read_later_counts_from_then_on(
        self, shop: Shop, user: Actor, admin: Actor
    ) -> None:
        payment, _ = user.buy(shop.sandbox)
        settlement = settle(shop)
        shop.sandbox.fault("odd_entity", route="/v1/settlements/recon/combined")
        read(shop)
        (found,) = ask(admin, hasProblem=True)
        assert found["problems"] == ["amount_differs", "unreadable_rows"]
        assert admin.seen(payment["referenceId"])["settledAt"] is None

        read(shop, timedelta(hours=2))

        detail = ask(admin, f"/{settlement['id']}")
        assert (detail["settlement"]["problems"], detail["settlement"]["difference"]) == ([], 0)
        (row,) = detail["rows"]
        assert (row["flaw"], row["credit"], row["contradictions"]) == (None, 48_820, [])
        seen = admin.seen(payment["referenceId"])
        assert seen["settledAt"] is not None
        assert [each["credit"] for each in seen["settlements"]] == [48_820]

    def test_another_amount_than_before_is_told_and_the_first_one_counts(
        self, shop: Shop, user: Actor, admin: Actor
    ) -> None:
        user.buy(shop.sandbox)
        settlement = settle(shop)
        read(shop)

        async def keep(services: Services) -> None:
            rows = services.settlement_row_repository
            (row,) = await rows.list(settlement_id=settlement["id"])
            row.credit += 1
            await services.settlement_row_repository.keep([row])

        shop.work(keep)
        read(shop, timedelta(hours=2))
        detail = ask(admin, f"/{settlement['id']}")
        assert detail["settlement"]["problems"] == ["rows_changed"]
        assert (detail["rows"][0]["credit"], detail["settlement"]["difference"]) == (48_820, 0)
        assert detail["rows"][0]["contradictions"][0].startswith("credit 48821")


class TestFindings:
    def test_a_bank_line_that_differs_says_by_how_much(
        self, shop: Shop, user: Actor, admin: Actor, api: httpx.Client
    ) -> None:
        user.buy(shop.sandbox)
        user.buy(shop.sandbox)
        settlement = settle(shop)
        snapshot = shop.sandbox.call("GET", "/_sandbox/snapshot")
        for row in snapshot["settlement"]:
            row["amount"] += 1
        shop.sandbox.call("PUT", "/_sandbox/snapshot", snapshot)
        read(shop)

        (found,) = ask(admin, hasProblem=True)
        assert (found["settlementId"], found["difference"]) == (settlement["id"], 1)
        assert found["problems"] == ["amount_differs"]
        assert ask(admin, hasProblem=False) == []
        (day,) = ledger(admin)["bySettledDay"]
        assert day["difference"] == day["bank"] - day["total"]["net"] == 1
        # It is counted once it is a day old: until then, rows may still come.
        assert gauge(api, "kernapay_settlement_problems") == 0
        long_ago = datetime.now(UTC) - timedelta(days=2)
        shop.store.settlements.update_many({}, {"$set": {"settledAt": long_ago}})
        assert gauge(api, "kernapay_settlement_problems") == 1

    def test_a_failed_settlement_reached_no_bank(
        self, shop: Shop, user: Actor, admin: Actor
    ) -> None:
        payment, _ = user.buy(shop.sandbox)
        settle(shop, status="failed")
        read(shop)
        (found,) = ask(admin, hasProblem=True)
        assert found["problems"] == ["failed"]
        assert admin.seen(payment["referenceId"])["settledAt"] is None
        assert ledger(admin)["bySettledDay"] == []
        assert [day["total"]["rows"] for day in ledger(admin)["byPaidDay"]] == [0]

    def test_what_a_settlement_that_failed_later_had_settled_is_unsettled_again(
        self, shop: Shop, user: Actor, admin: Actor
    ) -> None:
        payment, checkout = user.buy(shop.sandbox)
        shop.sandbox.refund(checkout["razorpay_payment_id"], 100)
        failing = settle(shop)
        read(shop)
        shop.edit(payment, paidAt=datetime.now(UTC) - timedelta(days=8))
        assert admin.seen(payment["referenceId"])["settledAt"] is not None
        assert ask(admin, "/unsettled") == []

        edit(shop, failing, status="failed")
        for hours in (2, 4):
            read(shop, timedelta(hours=hours))
            row = shop.row(payment)
            assert (row["settledAt"], row["settlements"]) == (None, [])
            assert [each["referenceId"] for each in ask(admin, "/unsettled")] == [
                payment["referenceId"]
            ]
            assert ask(admin)[0]["problems"] == ["failed"]
            assert ledger(admin)["bySettledDay"] == []
        export = admin.call("GET", f"{PAYMENTS}/export", params=EVER)
        assert failing["id"] not in export.text
        assert payment["referenceId"] in export.text

        # The bank gets the money with another settlement.
        books = shop.sandbox.call("GET", "/_sandbox/snapshot")
        for each in (*books["payment"], *books["refund"]):
            each["settlement_id"] = None
        shop.sandbox.call("PUT", "/_sandbox/snapshot", books)
        again = settle(shop)
        # Also when the day has ended meanwhile: it is read again six hours after its end.
        read(shop, timedelta(hours=11))
        row = shop.row(payment)
        assert {each["settlementId"] for each in row["settlements"]} == {again["id"]}
        assert len(row["settlements"]) == 2
        assert row["settledAt"] is not None
        assert ask(admin, "/unsettled") == []

    def test_what_is_not_settled_yet_is_what_was_paid_and_not_what_was_ordered(
        self, shop: Shop, user: Actor, admin: Actor
    ) -> None:
        shop.sandbox.fault("offer", options={"discount": 5000})
        user.buy(shop.sandbox)
        payment, _ = user.buy(shop.sandbox)
        shop.edit(payment, currency="USD")
        (day,) = ledger(admin)["byPaidDay"]
        assert day["unsettledAmounts"] == {"INR": 45_000, "USD": 50_000}
        assert day["unsettled"] == 2

    def test_what_was_captured_and_not_settled_in_time_is_listed_and_counted(
        self, shop: Shop, user: Actor, admin: Actor, api: httpx.Client
    ) -> None:
        late, in_time = (user.buy(shop.sandbox)[0] for _ in range(2))
        user.new_payment()
        old = datetime.now(UTC) - timedelta(days=8)
        shop.edit(late, paidAt=old)
        # An account that was never settled anything, as in test mode, is no finding.
        assert (ask(admin, "/unsettled"), gauge(api, "kernapay_unsettled_payments")) == ([], 0)
        adjust(shop, credit=1)
        settle(shop, limit=1)
        read(shop)

        (found,) = ask(admin, "/unsettled")

        assert found["referenceId"] == late["referenceId"]
        assert gauge(api, "kernapay_unsettled_payments") == 1
        worker = shop.worker()
        eventually(lambda: "payments_not_settled" in worker.log.read_text())
        worker.kill()
        settle(shop)
        read(shop, timedelta(hours=2))
        assert ask(admin, "/unsettled") == []
        assert admin.seen(in_time["referenceId"])["settledAt"] is not None


class TestRoutes:
    def test_a_cursor_goes_on_where_the_page_ended(
        self, shop: Shop, user: Actor, admin: Actor
    ) -> None:
        for _ in range(3):
            user.buy(shop.sandbox)
            settle(shop)  # several in one second
        read(shop)
        everything = [each["settlementId"] for each in ask(admin)]
        assert len(everything) == 3
        assert [each["settlementId"] for each in ask(admin, count=1, skip=1)] == everything[1:2]
        pages: list[str] = []
        cursor: Json = {}
        while page := ask(admin, count=1, **cursor):
            pages += [each["settlementId"] for each in page]
            cursor = {"cursor": pages[-1]}
        assert pages == everything

    @pytest.mark.parametrize(
        ("path", "query", "field"),
        [
            ("", {"from": "yesterday!"}, "from"),
            ("", {"from": "2026-01-02", "to": "2026-01-02"}, "to"),
            ("", {"cursor": "setl_nobody"}, "cursor"),
            ("", {"count": 101}, "count"),
            ("", {"to": "tomorrow!"}, "to"),
            ("/ledger", {"from": "2026-01-02", "to": "2026-01-01"}, "to"),
            ("/ledger", {"from": "2026-01-01", "to": "2026-01-01"}, "to"),
            ("/ledger", {"from": "2026-01-01", "to": "2026-04-04"}, "to"),
            ("/ledger", {"from": "2026-01-01", "to": "2026-12-01"}, "to"),
            ("/ledger", {"from": "2026-13-01", "to": "2026-12-01"}, "from"),
            ("/ledger", {"from": "0001-01-01", "to": "0001-01-02"}, "from"),
            ("/ledger", {"from": "2026-01-01"}, "to"),
        ],
    )
    def test_bad_parameters_are_named(
        self, path: str, query: Json, field: str, shop: Shop, admin: Actor
    ) -> None:
        answer = admin.call("GET", f"{SETTLEMENTS}{path}", params=query)
        assert_problem(answer, 400, field=field)

    def test_a_bare_day_is_one_of_the_business(self, shop: Shop, user: Actor, admin: Actor) -> None:
        user.buy(shop.sandbox)
        settle(shop)
        read(shop)
        settled_at = datetime(2026, 3, 31, 19, 0, tzinfo=UTC)  # 1 April, 00:30 in India
        shop.store.settlements.update_many({}, {"$set": {"settledAt": settled_at}})
        assert ask(admin, **{"from": "2026-03-31", "to": "2026-04-01"}) == []
        assert len(ask(admin, **{"from": "2026-04-01", "to": "2026-04-02"})) == 1
        assert ask(admin, **{"from": "2026-04-02"}) == []
        found = ask(admin, "/ledger", **{"from": "2026-04-01", "to": "2026-04-02"})
        assert [day["day"] for day in found["bySettledDay"]] == ["2026-04-01"]
        assert (
            ask(admin, "/ledger", **{"from": "2026-03-01", "to": "2026-04-01"})["bySettledDay"]
            == []
        )
        assert found["timezone"] == "Asia/Kolkata"
        longest = ask(admin, "/ledger", **{"from": "2026-03-01", "to": "2026-06-01"})
        assert longest["bySettledDay"] == found["bySettledDay"], "92 days"


def gauge(api: httpx.Client, name: str) -> float:
    text = api.get("/metrics", headers=bearer(METRICS_TOKEN)).text
    (line,) = [line for line in text.splitlines() if line.startswith(f"{name} ")]
    return float(line.split()[1])
