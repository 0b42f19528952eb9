"""How rows of bank settlements find their payments, and what they leave there, case by case."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId

from kernapay.payments.models import Dispute, Payment, Payout
from kernapay.payments.payouts import Trace
from kernapay.payments.references import make_receipt
from kernapay.payments.states import DisputeStatus, Source
from kernapay.settlements.feed import read_row
from kernapay.settlements.models import BankSettlement, SettlementProblem, SettlementRow
from kernapay.settlements.rows import Sums
from tests.aliases import Json, Store
from tests.money.desk import AMOUNT, Desk

pytestmark = pytest.mark.anyio


def payout(payment_id: str | None, **changes: Any) -> Payout:
    facts = {
        "settlement_id": "setl_1",
        "entity_id": payment_id,
        "type": "payment",
        "credit": 48_820,
        "debit": 0,
        "fee": 1_180,
        "tax": 180,
    }
    return Payout(**{**facts, **changes})


async def stored(store: Store, payment: Payment) -> Json:
    (row,) = await asyncio.to_thread(lambda: list(store.payments.find({"_id": payment.pk})))
    return row


class TestThePayment:
    async def test_a_row_is_entered_once_and_a_repeat_adds_what_was_missing(
        self, desk: Desk, store: Store
    ) -> None:
        payment, paid = await desk.sold()
        at, record = desk.clock(), desk.services.payout_service.record
        before = await stored(store, payment)
        first = {
            "settlementId": "setl_1",
            "entityId": paid.id,
            "type": "payment",
            "credit": 48_820,
            "debit": 0,
            "fee": 1_180,
            "tax": 180,
            "settledAt": at,
        }
        assert await record(payment, payout(paid.id, settled_at=at)) is True
        assert (await stored(store, payment))["settlements"] == [first]

        # Neither a second time nor with other amounts: the first ones count.
        assert await record(payment, payout(paid.id, utr="$fee", credit=1, settled_at=None)) is True
        entered = {**first, "utr": "$fee"}
        assert (await stored(store, payment))["settlements"] == [entered]

        others: list[Json] = [
            {"settlement_id": "setl_2"},
            {"entity_id": "$amount"},
            {"type": "refund"},
        ]
        for other in others:
            await record(payment, payout(paid.id, **other))
        row = await stored(store, payment)
        assert [
            (each["settlementId"], each["entityId"], each["type"]) for each in row["settlements"]
        ] == [
            ("setl_1", paid.id, "payment"),
            ("setl_2", paid.id, "payment"),
            ("setl_1", "$amount", "payment"),
            ("setl_1", paid.id, "refund"),
        ]
        assert row["settlements"][0] == entered
        assert (row["updatedAt"], row["history"]) == (before["updatedAt"], before["history"])
        gone = Payment(id=ObjectId(), user_id=payment.user_id)
        assert await record(gone, payout(paid.id)) is False

    @pytest.mark.parametrize(
        ("entity", "kind", "is_settled"),
        [("own", "payment", True), ("pay_2", "payment", False), ("own", "adjustment", False)],
    )
    async def test_only_the_row_of_the_payment_that_counts_settles_it(
        self, desk: Desk, entity: str, kind: str, is_settled: bool
    ) -> None:
        payment, paid = await desk.sold()
        at = desk.clock()
        named = paid.id if entity == "own" else entity
        await desk.services.payout_service.record(payment, payout(named, type=kind, settled_at=at))
        assert (await desk.row(payment)).settled_at == (at if is_settled else None)

    async def test_what_failed_is_taken_out_and_what_another_settlement_settled_stays(
        self, desk: Desk
    ) -> None:
        (payment, paid), (other, second), (neither, _) = [await desk.sold() for _ in range(3)]
        at = desk.clock()
        later = at + timedelta(days=1)
        record = desk.services.payout_service.record
        for each, payment_id in ((payment, paid.id), (other, second.id)):
            await record(each, payout(payment_id, settled_at=at))
        await record(payment, payout(paid.id, settlement_id="setl_2", settled_at=later))
        # It settles nothing: neither its kind nor its entity is that of the payment.
        for entity, kind in (("rfnd_1", "payment"), (second.id, "refund")):
            changes: Json = {"settlement_id": "setl_2", "type": kind, "settled_at": later}
            await record(other, payout(entity, **changes))
        await record(neither, payout("pay_9", settlement_id="setl_2"))

        withdraw = desk.services.payout_service.withdraw
        assert [await withdraw("setl_1"), await withdraw("setl_1")] == [2, 0]

        rows = [await desk.row(each) for each in (payment, other, neither)]
        assert [row.settled_at for row in rows] == [later, None, None]
        assert [[each.settlement_id for each in row.settlements] for row in rows] == [
            *(["setl_2"], ["setl_2", "setl_2"], ["setl_2"]),
        ]
        assert await desk.services.payment_ledger.withdraw_payouts(payment, "setl_1") is False


class TestTraces:
    async def test_a_payment_is_found_by_what_the_row_says_and_only_if_it_fits(
        self, desk: Desk
    ) -> None:
        payment, paid = await desk.sold()
        other, second = await desk.sold()
        ledger = desk.services.payment_ledger
        await ledger.update_where({"id": payment.pk}, set__surplus_orders=["order_surplus"])
        await ledger.update_where({"id": other.pk}, push__disputes=dispute(desk, second.id))
        receipt, foreign = make_receipt(payment.pk), make_receipt(ObjectId())
        order = payment.razorpay_order_id
        traces: list[tuple[Trace, Payment | None]] = [
            (Trace(receipt), payment),
            (Trace(receipt, order), payment),
            (Trace(receipt, "order_surplus"), payment),
            # Another application may use our receipts.
            (Trace(receipt, "order_theirs"), None),
            (Trace(receipt, other.razorpay_order_id), other),
            (Trace(foreign, order), payment),
            (Trace(None, order, second.id), payment),
            (Trace(None, "order_theirs", second.id), other),
            (Trace(None, None, paid.id), payment),
            (Trace(None, None, "pay_theirs", "disp_1"), other),
            (Trace(None, None, None, "disp_2"), None),
            (Trace("T_1", "order_theirs", "pay_theirs"), None),
            (Trace(), None),
        ]
        found = await desk.services.payout_service.find([trace for trace, _ in traces])
        assert [each and each.pk for each in found] == [each and each.pk for _, each in traces]

    @pytest.mark.parametrize("kind", ["receipt", "order_id", "payment_id", "dispute_id"])
    async def test_of_many_rows_each_finds_its_payment(self, desk: Desk, kind: str) -> None:
        """Ids are looked up by two hundred."""
        payment, paid = await desk.sold()
        entry = dispute(desk, paid.id)
        await desk.services.payment_ledger.update_where({"id": payment.pk}, push__disputes=entry)
        own = {
            "receipt": make_receipt(payment.pk),
            "order_id": payment.razorpay_order_id,
            "payment_id": paid.id,
            "dispute_id": entry.dispute_id,
        }[kind]
        # Ids before and after it in order, so that it is in the first batch, and then in the last.
        for first, last in ((1, 250), (250, 1)):
            ids = [f"{own}"] + [
                make_receipt(ObjectId(f"{letter * 20}{number:04}"))
                if kind == "receipt"
                else f"{letter}{number:04}"
                for letter, count in (("0", first), ("f" if kind == "receipt" else "z", last))
                for number in range(count)
            ]
            traces = [Trace(**{kind: each}) for each in ids]
            found = await desk.services.payout_service.find(traces)
            assert [each and each.pk for each in found] == [payment.pk, *[None] * (len(ids) - 1)]


def dispute(desk: Desk, payment_id: str) -> Dispute:
    return Dispute(
        dispute_id="disp_1",
        payment_id=payment_id,
        amount=1,
        currency="INR",
        phase="chargeback",
        status=DisputeStatus.OPEN,
        source=Source.WEBHOOK,
        created_at=desk.clock(),
        updated_at=desk.clock(),
    )


class TestSettlements:
    def told(self, desk: Desk, **changes: Any) -> BankSettlement:
        facts = {
            "settlement_id": "setl_1",
            "status": "created",
            "amount": 100,
            "fees": 1,
            "tax": 2,
            "utr": None,
            "settled_at": desk.clock(),
        }
        return BankSettlement(**{**facts, **changes})

    def facts(self, row: BankSettlement) -> tuple[Any, ...]:
        return row.status, row.amount, row.fees, row.tax, row.utr, row.settled_at

    async def test_what_the_gateway_was_asked_for_replaces_what_is_stored(self, desk: Desk) -> None:
        settlements, later = desk.services.settlement_repository, desk.clock() + timedelta(days=1)
        await settlements.keep(self.told(desk), is_current=True)
        newer = {"status": "processed", "amount": 7, "fees": 8, "tax": 9, "settled_at": later}
        await settlements.keep(self.told(desk, **newer, utr="u"), is_current=True)
        # A UTR stays, an answer without an amount changes nothing.
        await settlements.keep(self.told(desk, **newer), is_current=True)
        await settlements.keep(self.told(desk, status="failed", amount=None), is_current=True)
        row = await settlements.get(settlement_id="setl_1")
        assert self.facts(row) == ("processed", 7, 8, 9, "u", later)
        assert (row.announced, row.announce) == (0, None)

    async def test_an_event_adds_only_what_is_missing(self, desk: Desk) -> None:
        settlements = desk.services.settlement_repository
        nothing_known = self.told(desk, status="unknown", amount=None, fees=0, tax=0)
        await settlements.keep(nothing_known, is_current=True)
        assert await settlements.known_ids(["setl_1", "setl_2"]) == set()
        await settlements.keep(self.told(desk), is_current=False)
        assert await settlements.known_ids(["setl_1", "setl_2"]) == {"setl_1"}
        for utr in ("first", "second"):
            told = self.told(desk, status="processed", amount=7, utr=utr)
            await settlements.keep(told, is_current=False)
        row = await settlements.get(settlement_id="setl_1")
        assert self.facts(row) == ("created", 100, 1, 2, "first", desk.clock())

    async def test_the_sums_of_its_rows_are_stored_with_the_difference_and_told_of_once(
        self, desk: Desk
    ) -> None:
        settlements = desk.services.settlement_repository
        await settlements.keep(self.told(desk), is_current=True)
        sums = Sums(rows=3, credit=150, debit=40, fee=5, tax=6)
        for status, announce in (("created", None), ("processed", desk.clock())):
            await settlements.keep(self.told(desk, status=status), is_current=True)
            stored = await settlements.get(settlement_id="setl_1")
            await settlements.record_sums(stored, sums, [SettlementProblem.AMOUNT_DIFFERS])
            row = await settlements.get(settlement_id="setl_1")
            assert (row.rows, row.credit, row.debit, row.row_fee, row.row_tax) == (3, 150, 40, 5, 6)
            assert (row.difference, row.problems, row.has_problem) == (
                *(-10, ["amount_differs"], True),
            )
            assert row.announce == announce
        assert await settlements.count_problems(desk.clock()) == 0
        assert await settlements.count_problems(desk.clock() + timedelta(seconds=1)) == 1

        desk.clock.advance(minutes=1)
        await settlements.record_sums(row, sums, [SettlementProblem.AMOUNT_DIFFERS])
        same = await settlements.get(settlement_id="setl_1")
        assert (same.updated_at, same.announce) == (row.updated_at, row.announce)
        await settlements.update_where({"id": row.pk}, set__announced=1, unset__announce=True)
        told_of = await settlements.get(settlement_id="setl_1")
        await settlements.record_sums(told_of, Sums(rows=3, credit=100), [])
        row = await settlements.get(settlement_id="setl_1")
        assert (row.announce, row.difference, row.has_problem) == (None, 0, False)

    async def test_pages_go_on_where_the_last_ended_and_stay_in_their_window(
        self, desk: Desk
    ) -> None:
        settlements, at = desk.services.settlement_repository, desk.clock()
        for number, minutes in enumerate((0, 0, 0, 5, 10)):
            told = {
                "settlement_id": f"setl_{number}",
                "settled_at": at + timedelta(minutes=minutes),
            }
            status = "processed" if number % 2 else "created"
            await settlements.keep(self.told(desk, **told, status=status), is_current=True)
        problem = await settlements.get(settlement_id="setl_2")
        await settlements.record_sums(problem, Sums(), [SettlementProblem.AMOUNT_DIFFERS])

        async def page(
            after: datetime | None = None,
            before: datetime | None = None,
            has_problem: bool | None = None,
            cursor: str | None = None,
            count: int = 9,
            skip: int = 0,
        ) -> list[int]:
            last = await settlements.by_id(cursor) if cursor else None
            found = await settlements.page(
                after, before, has_problem, count=count, skip=skip, cursor=last
            )
            return [int(each.settlement_id.removeprefix("setl_")) for each in found]

        assert await page() == [4, 3, 2, 1, 0]
        assert await page(count=2, skip=1) == [3, 2]
        assert await page(cursor="setl_3", skip=2) == [2, 1, 0]
        assert await page(cursor="setl_1") == [0]
        moments = [at + timedelta(minutes=each) for each in (0, 5, 10)]
        assert await page(moments[1]) == [4, 3]
        assert await page(before=moments[1]) == [2, 1, 0]
        assert await page(before=moments[1], cursor="setl_4") == [2, 1, 0]
        assert await page(before=moments[2], cursor="setl_3") == [2, 1, 0]
        assert (await page(has_problem=True), await page(has_problem=False)) == ([2], [4, 3, 1, 0])
        assert await settlements.processed_ids(["setl_0", "setl_1", "setl_9"]) == {"setl_1"}
        assert [each.settlement_id for each in await settlements.newest(1)] == ["setl_4"]
        window = await settlements.in_window(moments[1], None)
        assert {each.settlement_id for each in window} == {"setl_3", "setl_4"}


class TestRows:
    async def keep(self, desk: Desk, *rows: Json) -> list[SettlementRow]:
        facts = {"type": "payment", "credit": 5, "debit": 0, "settlement_id": "setl_1"}
        found = [read_row({**facts, **row}) for row in rows]
        return await desk.services.settlement_row_repository.keep(found)

    async def test_each_row_is_stored_once_and_returned_as_it_is_stored(self, desk: Desk) -> None:
        first = {"entity_id": "pay_1"}
        (kept,) = await self.keep(desk, first)
        await desk.services.settlement_row_repository.note_payment(kept, "PAY_1", is_done=True)
        desk.clock.advance(minutes=1)
        both = await self.keep(desk, {"entity_id": "pay_2"}, first, first)
        assert [(row.entity_id, row.reference_id) for row in both] == [
            ("pay_2", None),
            ("pay_1", "PAY_1"),
        ]
        assert both[0].created_at == both[0].updated_at == desk.clock()
        assert await desk.services.settlement_row_repository.count() == 2

    async def test_a_row_that_was_held_back_gives_way_to_its_settled_one(self, desk: Desk) -> None:
        held: Json = {"entity_id": "pay_1", "settlement_id": None}
        await self.keep(desk, held, {**held, "entity_id": "pay_2"}, {**held, "type": "refund"})
        await self.keep(desk, {"entity_id": "pay_1"})
        rows = await desk.services.settlement_row_repository.list(entity_id__in=["pay_1", "pay_2"])
        assert sorted((row.entity_id, row.type, row.settlement_id or "") for row in rows) == [
            ("pay_1", "payment", "setl_1"),
            ("pay_1", "refund", ""),
            ("pay_2", "payment", ""),
        ]

    async def test_of_two_readable_reads_of_a_flawed_row_the_first_counts(self, desk: Desk) -> None:
        await self.keep(desk, {"entity_id": "pay_1", "credit": "much"})
        (row,) = await self.keep(
            desk, {"entity_id": "pay_1", "credit": 7}, {"entity_id": "pay_1", "credit": 8}
        )
        assert (row.credit, row.flaw) == (7, None)

    async def test_a_row_is_entered_again_until_its_payment_is_paid_or_if_its_settlement_failed(
        self, desk: Desk
    ) -> None:
        payment = await desk.payment()
        receipt = make_receipt(payment.pk)
        attempt = desk.pay(payment, "authorized")
        rows: list[Json] = [
            {"entity_id": attempt.id, "order_receipt": receipt, "settlement_utr": "u"},
            {"entity_id": "pay_theirs"},
        ]
        entering = desk.services.payout_entering
        repository = desk.services.settlement_row_repository
        for is_paid in (False, True):
            if is_paid:
                await desk.settlement.capture_authorized(
                    payment, str(payment.razorpay_order_id), "admin:1"
                )
            await entering.enter(await self.keep(desk, *rows))
            own, theirs = await self.keep(desk, *rows)
            assert own.reference_id == payment.reference_id
            assert own.entered_in_payment_at == (desk.clock() if is_paid else None)
            assert (theirs.reference_id, theirs.entered_in_payment_at) == (None, None)
        (entry,) = (await desk.row(payment)).settlements
        assert (entry.entity_id, entry.utr, entry.credit) == (attempt.id, "u", 5)

        await repository.forget_payments("setl_2")
        assert (await self.keep(desk, rows[0]))[0].entered_in_payment_at == desk.clock()
        await entering.withdraw("setl_1")
        assert (await self.keep(desk, rows[0]))[0].entered_in_payment_at is None
        assert (await desk.row(payment)).settlements == []


class TestSettlementsThatOnlyRowsName:
    """The list of a day's settlements may lack one, or come before it."""

    async def read(self, desk: Desk, **told: Any) -> tuple[Payment, BankSettlement]:
        payment, paid = await desk.sold()
        at = int(desk.clock().timestamp())
        desk.gateway.feed = [
            {
                **{"entity_id": paid.id, "type": "payment", "credit": 48_820, "debit": 0},
                **{"amount": AMOUNT, "fee": 1_180, "tax": 180, "currency": "INR"},
                **{"settlement_id": "setl_1", "settled_at": at, "order_id": paid.order_id},
            }
        ]
        if told:
            settlement = {"id": "setl_1", "amount": 48_820, "created_at": at, **told}
            desk.gateway.settlements = {"setl_1": settlement}
        while await desk.services.settlement_reader.sweep():
            pass
        found = await desk.services.settlement_repository.by_id("setl_1")
        assert found is not None
        assert found.settled_at == datetime.fromtimestamp(at, UTC)
        return await desk.row(payment), found

    async def test_they_are_asked_for(self, desk: Desk) -> None:
        payment, found = await self.read(desk, status="processed", utr="1568176960vxp0rj")
        assert (found.status, found.amount, found.utr, found.problems) == (
            *("processed", 48_820, "1568176960vxp0rj"),
            [],
        )
        assert payment.settled_at == found.settled_at

    async def test_those_of_which_nothing_is_told_settle_nothing(self, desk: Desk) -> None:
        payment, found = await self.read(desk)
        assert (found.status, found.amount) == ("unknown", None)
        assert found.problems == [SettlementProblem.AMOUNT_UNKNOWN]
        assert payment.settled_at is None

    async def test_the_answer_about_another_one_is_not_taken_for_it(self, desk: Desk) -> None:
        payment, found = await self.read(desk, id="setl_2", status="processed")
        assert (found.status, found.amount, payment.settled_at) == ("unknown", None, None)
        assert await desk.services.settlement_repository.by_id("setl_2") is None


class TestEntering:
    async def rows(self, desk: Desk, *columns: Json) -> list[SettlementRow]:
        """Store rows of the feed, and return them."""
        least = {"credit": 0, "debit": 100, "settlement_id": "setl_1", "settled_at": 1_767_312_000}
        raws = [{**least, **each} for each in columns]
        return await desk.services.settlement_row_repository.keep([read_row(raw) for raw in raws])

    @pytest.mark.parametrize(
        "columns",
        [
            {"type": "payment", "entity_id": "own"},
            {"type": "payment", "entity_id": "own", "payment_id": "pay_of_nobody"},
            {"type": "refund", "entity_id": "rfnd_1", "payment_id": "own"},
            {"type": "adjustment", "entity_id": "adj_1", "dispute_id": "disp_1"},
        ],
    )
    async def test_a_row_is_entered_in_the_payment_that_it_names_in_its_way(
        self, desk: Desk, columns: Json
    ) -> None:
        (payment, paid), (other, _) = [await desk.sold() for _ in range(2)]
        if "dispute_id" in columns:
            entry = dispute(desk, paid.id)
            await desk.services.payment_ledger.update_where(
                {"id": payment.pk}, push__disputes=entry
            )
        named = {name: paid.id if value == "own" else value for name, value in columns.items()}
        rows = await self.rows(
            desk, named, {"type": "payment", "entity_id": "pay_of_another_application"}
        )

        await desk.services.payout_entering.enter(rows)

        row, untouched = await desk.row(payment), await desk.row(other)
        (entered,) = row.settlements
        assert (entered.entity_id, entered.type) == (named["entity_id"], columns["type"])
        assert entered.settled_at == datetime.fromtimestamp(1_767_312_000, UTC)
        assert (row.settled_at is not None) is (columns["type"] == "payment")
        assert untouched.settlements == []
        stored = {each.entity_id: each for each in await self.rows(desk, named)}
        noted = stored[named["entity_id"]]
        assert (noted.reference_id, noted.entered_in_payment_at) == (
            payment.reference_id,
            desk.clock(),
        )

    @pytest.mark.parametrize(
        ("status", "later", "age", "is_entered_again"),
        [
            ("processed", timedelta(0), timedelta(0), True),
            ("processed", timedelta(hours=1), timedelta(0), True),
            ("processed", timedelta(hours=1, seconds=1), timedelta(0), False),
            ("processed", timedelta(0), timedelta(days=31), True),
            ("processed", timedelta(0), timedelta(days=31, seconds=1), False),
            ("failed", timedelta(0), timedelta(0), False),
        ],
    )
    async def test_what_was_entered_while_a_copy_was_made_is_entered_again(
        self, desk: Desk, status: str, later: timedelta, age: timedelta, is_entered_again: bool
    ) -> None:
        payment, paid = await desk.sold()
        entering, settlements = desk.services.payout_entering, desk.services.settlement_repository
        for settlement_id in ("setl_1", "setl_2"):
            settled_at = desk.clock() - age
            told = BankSettlement(
                settlement_id=settlement_id, status=status, settled_at=settled_at, amount=1
            )
            await settlements.keep(told, is_current=True)
        rows = await self.rows(
            desk,
            {"type": "payment", "entity_id": paid.id},
            # One that was not entered before is left to the reader of its day.
            {"type": "refund", "entity_id": "rfnd_1", "payment_id": paid.id},
        )
        await entering.enter([row for row in rows if row.type == "payment"])
        await desk.services.payment_ledger.update_where({"id": payment.pk}, set__settlements=[])
        started = desk.clock()
        desk.clock.advance(later)

        await entering.enter_again(started + later)

        entered = [each.entity_id for each in (await desk.row(payment)).settlements]
        assert entered == ([paid.id] if is_entered_again else [])
