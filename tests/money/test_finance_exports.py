"""A month for finance: payments, refunds, disputes and settlements as lines of files, beside the ledger."""

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import msgspec
import openpyxl
import pytest

from tests.actors import PAYMENTS, SETTLEMENTS, Actor, assert_problem
from tests.aliases import Json
from tests.money.books import read, settle
from tests.money.disputes import raise_dispute, tell
from tests.money.shop import Shop

pytestmark = pytest.mark.long

INDIA = ZoneInfo("Asia/Kolkata")
EVER = {"from": "2020-01-01", "to": "2099-01-01"}


def lines(admin: Actor, **query: Any) -> list[dict[str, str]]:
    answer = admin.call("GET", f"{PAYMENTS}/export", params={**EVER, **query})
    assert answer.status_code == 200, answer.text
    kind = query.get("rows", "payments")
    assert answer.headers["content-disposition"] == f'attachment; filename="{kind}.csv"'
    return list(csv.DictReader(io.StringIO(answer.text)))


def refund(admin: Actor, payment: Json, amount: int, **more: Any) -> Json:
    path = f"{PAYMENTS}/{payment['referenceId']}/refunds"
    body = {"amount": amount, "idempotencyKey": f"k{amount}", **more}
    answer = admin.call("POST", path, json=body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json()["data"])


def make_refund_and_dispute(shop: Shop, user: Actor, admin: Actor) -> tuple[Json, Json, Json]:
    """Return a payment with a refund and a dispute, and these two."""
    payment, checkout = user.buy(shop.sandbox, amount=50_000)
    made = refund(admin, payment, 20_000, reason="Late")
    dispute = raise_dispute(shop, checkout["razorpay_payment_id"], amount=10_000)
    tell(admin.client, "created", dispute)
    return payment, made, dispute


def give_papers(user: Actor, payment: Json) -> None:
    """Let a payment have its receipt and its credit notes: whoever asks for one gets all of them numbered."""
    path = f"{PAYMENTS}/{payment['referenceId']}/receipt"
    assert user.call("GET", path).status_code == 200


class TestRows:
    def test_a_payment_has_what_remains_of_it_after_the_fee(
        self, shop: Shop, user: Actor, admin: Actor
    ) -> None:
        user.buy(shop.sandbox, amount=50_000)
        user.new_payment()
        paid, waiting = lines(admin, rows="payments")
        assert (paid["amount"], paid["fee"], paid["tax"]) == ("50000", "1180", "180")
        assert (paid["net"], waiting["net"]) == ("48820", "")
        (usual, _) = lines(admin)
        assert usual == {name: value for name, value in paid.items() if name != "net"}
        in_rupees, _ = lines(admin, rows="payments", unit="major")
        assert (in_rupees["net"], in_rupees["tax"]) == ("488.20", "1.80")

    def test_what_remains_of_foreign_money_is_not_guessed(
        self, shop: Shop, user: Actor, admin: Actor
    ) -> None:
        """The gateway's fee is in rupees, and nobody tells its rate."""
        payment, _ = user.buy(shop.sandbox, amount=50_000)
        shop.edit(payment, currency="JPY")
        (row,) = lines(admin, rows="payments", unit="major")
        assert (row["amount"], row["fee"], row["net"]) == ("50000", "11.80", "")

    def test_a_refund_is_a_line_of_its_own_with_its_settlement(
        self, shop: Shop, user: Actor, admin: Actor
    ) -> None:
        payment, first, _ = make_refund_and_dispute(shop, user, admin)
        second = refund(admin, payment, 5_000)
        user.new_payment()
        bank = settle(shop)
        read(shop)

        found = lines(admin, rows="refunds")

        assert [row["refundId"] for row in found] == [first["refundId"], second["refundId"]]
        row = found[0]
        assert (row["amount"], row["currency"], row["status"]) == ("20000", "INR", "processed")
        assert (row["referenceId"], row["reason"]) == (payment["referenceId"], "Late")
        assert (row["settlementId"], row["settlementUtr"]) == (bank["id"], bank["utr"])
        assert (row["fee"], row["tax"], row["net"]) == ("0", "0", "-20000")
        in_rupees = lines(admin, rows="refunds", unit="major")
        assert (in_rupees[0]["amount"], in_rupees[0]["net"]) == ("200.00", "-200.00")

    def test_a_dispute_is_a_line_of_its_own(self, shop: Shop, user: Actor, admin: Actor) -> None:
        payment, _, dispute = make_refund_and_dispute(shop, user, admin)
        (row,) = lines(admin, rows="disputes")
        assert (row["disputeId"], row["referenceId"]) == (dispute["id"], payment["referenceId"])
        assert (row["amount"], row["status"], row["phase"]) == ("10000", "open", "chargeback")
        (in_rupees,) = lines(admin, rows="disputes", unit="major")
        assert (in_rupees["amount"], in_rupees["amountDeducted"]) == ("100.00", "0.00")

    def test_a_credit_note_is_a_line_with_its_receipt_also_when_it_is_void(
        self, shop: Shop, user: Actor, admin: Actor
    ) -> None:
        shop.store.papers.delete_many({})
        payment, made, _ = make_refund_and_dispute(shop, user, admin)
        refund(admin, payment, 5_000)
        give_papers(user, payment)
        shop.edit(payment, **{"refunds.1.status": "failed"})
        user.buy(shop.sandbox)
        given, void = lines(admin, rows="credit_notes")
        assert (given["number"], void["number"]) == (
            f"{given['series']}-000001",
            f"{given['series']}-000002",
        )
        assert (given["status"], given["amount"], given["currency"]) == ("given", "20000", "INR")
        assert (void["status"], void["amount"]) == ("void", "")
        assert (given["refundId"], given["referenceId"]) == (
            made["refundId"],
            payment["referenceId"],
        )
        assert given["receiptNumber"] == given["series"].replace("-C", "-R") + "-000001"
        # Without a GSTIN there is no tax.
        assert [given[name] for name in ("value", "cgst", "sgst", "igst", "taxRate")] == [""] * 5
        shop.store.payments.delete_many({})
        lost, _ = lines(admin, rows="credit_notes", unit="major")
        assert (lost["number"], lost["status"]) == (given["number"], "unknown")

    def test_the_rows_of_settlements_are_those_of_processed_ones(
        self, shop: Shop, user: Actor, admin: Actor
    ) -> None:
        payment, checkout = user.buy(shop.sandbox, amount=50_000)
        first = settle(shop)
        user.buy(shop.sandbox, amount=10_000)
        settle(shop, status="failed")
        read(shop)
        (row,) = lines(admin, rows="settlements")
        assert (row["settlementId"], row["settlementUtr"]) == (first["id"], first["utr"])
        assert (row["type"], row["entityId"]) == ("payment", checkout["razorpay_payment_id"])
        assert [row[name] for name in ("credit", "debit", "net", "fee", "tax")] == [
            *("48820", "0", "48820", "1180", "180"),
        ]
        assert (row["currency"], row["referenceId"]) == ("INR", payment["referenceId"])

    def test_only_refunds_of_the_period_are_in_it_be_it_that_another_one_is(
        self, shop: Shop, user: Actor, admin: Actor
    ) -> None:
        payment, _ = user.buy(shop.sandbox, amount=50_000)
        refund(admin, payment, 100)
        refund(admin, payment, 200)
        shop.edit(payment, **{"refunds.0.createdAt": BEFORE, "refunds.1.createdAt": MIDNIGHT})

        def found(month: dict[str, str]) -> list[tuple[str, str]]:
            rows = lines(admin, rows="refunds", **month)
            return [(row["amount"], row["createdOn"]) for row in rows]

        assert found(MARCH) == [("100", "2026-03-31")]
        assert found(APRIL) == [("200", "2026-04-01")]
        assert found({"from": "2026-05-01", "to": "2026-06-01"}) == []

    @pytest.mark.parametrize(
        "kind", ["payments", "refunds", "disputes", "settlements", "credit_notes"]
    )
    def test_each_kind_fits_into_each_form(
        self, shop: Shop, user: Actor, admin: Actor, kind: str
    ) -> None:
        payment, *_ = make_refund_and_dispute(shop, user, admin)
        settle(shop)
        read(shop)
        give_papers(user, payment)
        found = lines(admin, rows=kind)
        assert found
        query = {**EVER, "rows": kind}
        text = admin.call("GET", f"{PAYMENTS}/export", params={**query, "format": "jsonl"}).text
        assert text.count("\n") == len(found)
        answer = admin.call("GET", f"{PAYMENTS}/export", params={**query, "format": "xlsx"})
        book = openpyxl.load_workbook(io.BytesIO(answer.content))
        assert book.sheetnames == [kind]
        header, *rest = book[kind].iter_rows(values_only=True)
        assert (list(header), len(rest)) == (list(found[0]), len(found))


# Midnight in India, between March and April.
MIDNIGHT = datetime(2026, 3, 31, 18, 30, tzinfo=UTC)
BEFORE = MIDNIGHT - timedelta(milliseconds=1)
MARCH = {"from": "2026-03-01", "to": "2026-04-01"}
APRIL = {"from": "2026-04-01", "to": "2026-05-01"}


class TestTimes:
    @pytest.mark.parametrize("by", ["created", "paid", "settled"])
    def test_a_payment_is_in_the_month_of_the_time_that_was_asked_for(
        self, shop: Shop, user: Actor, admin: Actor, by: str
    ) -> None:
        early, late = (user.buy(shop.sandbox)[0] for _ in range(2))
        user.new_payment()
        shop.edit(early, **{f"{by}At": BEFORE})
        shop.edit(late, **{f"{by}At": MIDNIGHT})

        def found(month: dict[str, str]) -> list[tuple[str, str]]:
            rows = lines(admin, **month, by=by, rows="payments")
            return [(row["referenceId"], row[f"{by}On"]) for row in rows]

        assert found(MARCH) == [(early["referenceId"], "2026-03-31")]
        assert found(APRIL) == [(late["referenceId"], "2026-04-01")]
        # `rows` need not be named for it.
        assert [row["referenceId"] for row in lines(admin, **MARCH, by=by)] == [
            early["referenceId"]
        ]
        for other in {"created", "paid", "settled"} - {by}:
            assert lines(admin, **MARCH, by=other) == []

    def test_a_refund_is_in_the_month_that_it_was_settled_in(
        self, shop: Shop, user: Actor, admin: Actor
    ) -> None:
        """Not in that of its payment, or of another refund of it."""
        payment, checkout = user.buy(shop.sandbox, amount=50_000)
        times = {refund(admin, payment, 100)["refundId"]: BEFORE}
        times[refund(admin, payment, 200)["refundId"]] = MIDNIGHT
        user.buy(shop.sandbox)
        settle(shop)
        read(shop)
        rows = shop.row(payment)["settlements"]
        for row in rows:
            row["settledAt"] = times.get(row["entityId"], MIDNIGHT)
        shop.edit(payment, settlements=rows)

        def found(month: dict[str, str]) -> list[tuple[str, str]]:
            rows = lines(admin, **month, by="settled", rows="refunds")
            return [(row["amount"], row["settledOn"]) for row in rows]

        assert {row["entityId"] for row in rows} == {*times, checkout["razorpay_payment_id"]}
        assert found(MARCH) == [("100", "2026-03-31")]
        assert found(APRIL) == [("200", "2026-04-01")]

    def test_rows_of_settlements_go_by_the_bank_or_by_what_is_paid_out(
        self, shop: Shop, user: Actor, admin: Actor
    ) -> None:
        early, late = (user.buy(shop.sandbox)[1]["razorpay_payment_id"] for _ in range(2))
        settlement = settle(shop)
        read(shop)
        shop.store.settlements.update_one({}, {"$set": {"settledAt": MIDNIGHT}})
        for entity, at in ((early, BEFORE), (late, MIDNIGHT)):
            shop.store.settlement_rows.update_one({"entityId": entity}, {"$set": {"enteredAt": at}})

        def found(month: dict[str, str], **by: str) -> set[tuple[str, str, str]]:
            rows = lines(admin, **month, **by, rows="settlements")
            return {(row["entityId"], row["enteredOn"], row["settledOn"]) for row in rows}

        first = (early, "2026-03-31", "2026-04-01")
        second = (late, "2026-04-01", "2026-04-01")
        assert (found(MARCH), found(APRIL)) == (set(), {first, second})
        assert found(APRIL, by="settled") == {first, second}
        assert found(MARCH, by="paid") == {first}
        assert found(APRIL, by="paid") == {second}
        shop.store.settlements.update_one(
            {"settlementId": settlement["id"]}, {"$set": {"status": "failed"}}
        )
        assert found(APRIL, by="paid") == set()

    @pytest.mark.parametrize(
        ("kind", "by"),
        [
            ("refunds", "paid"),
            ("disputes", "paid"),
            ("disputes", "settled"),
            ("settlements", "created"),
            ("payments", "updated"),
        ],
    )
    def test_a_time_that_a_line_does_not_have_is_refused(
        self, admin: Actor, kind: str, by: str
    ) -> None:
        query = {**MARCH, "rows": kind, "by": by}
        assert_problem(admin.call("GET", f"{PAYMENTS}/export", params=query), 400, field="by")
        assert_problem(admin.call("POST", f"{PAYMENTS}/exports", json=query), 400, field="by")


def totals(admin: Actor, **query: Any) -> list[Json]:
    """Return the totals of an export, which are the same in every form of file."""
    query = {**EVER, **query, "totals": True}
    every = lines(admin, **query)
    below = [line for line in every if line[next(iter(line))] == "TOTAL"]
    assert every[-len(below) :] == below

    def get(form: str) -> httpx.Response:
        return admin.call("GET", f"{PAYMENTS}/export", params={**query, "format": form})

    last = [msgspec.json.decode(line) for line in get("jsonl").text.splitlines()][-len(below) :]
    book = openpyxl.load_workbook(io.BytesIO(get("xlsx").content))
    assert book.sheetnames == [query.get("rows", "payments"), "totals"]
    names, *values = book["totals"].iter_rows(values_only=True)
    found = [dict(zip(map(str, names), each, strict=True)) for each in values]
    assert found == [each["total"] for each in last]
    for total, line in zip(found, below, strict=True):
        shown = {name: "" if total[name] is None else str(total[name]) for name in total}
        assert shown == {name: line[name] for name in total}
    assert sum(int(total["count"] or 0) for total in found) == len(every) - len(below)
    return found


class TestTotals:
    @pytest.fixture
    def month(self, shop: Shop, user: Actor, admin: Actor) -> dict[str, str]:
        """A period with payments, refunds, disputes, fees, an adjustment, and money that is not settled yet."""
        for amount in (50_000, 33_333, 12_345):
            payment, checkout = user.buy(shop.sandbox, amount=amount)
            refund(admin, payment, 3_333)
            shop.sandbox.advance(3_600)
        dispute = raise_dispute(shop, checkout["razorpay_payment_id"], amount=1_000)
        tell(admin.client, "created", dispute)
        adjustment = {"debit": 1_000, "dispute_id": dispute["id"]}
        shop.sandbox.call("POST", "/_sandbox/adjustments", adjustment)
        user.new_payment(amount=777)
        settle(shop)
        shop.sandbox.advance(86_400)
        whole, _ = user.buy(shop.sandbox, amount=10_001)
        user.buy(shop.sandbox, amount=99_999)
        refund(admin, whole, 10_001)
        settle(shop)
        user.buy(shop.sandbox, amount=4_000)
        read(shop, timedelta(days=3))
        today = datetime.now(INDIA).date()
        days = (today - timedelta(days=1), today + timedelta(days=5))
        return dict(zip(("from", "to"), map(str, days), strict=True))

    def test_of_payments_they_are_those_of_the_list(
        self, admin: Actor, month: dict[str, str]
    ) -> None:
        found = totals(admin, **month)
        answer = admin.call("GET", f"{PAYMENTS}/totals", params=month)
        assert answer.status_code == 200, answer.text
        listed = answer.json()["totals"]
        assert [total["status"] for total in listed] == ["pending", "refunded", "success"]
        names = ("currency", "status", "count", "amount", "amountPaid", "amountRefunded")
        ours = [{name: total[name] or 0 for name in names} for total in found]
        assert ours == [{name: total[name] for name in names} for total in listed]

    @pytest.mark.parametrize(
        ("by", "days"), [("settled", "bySettledDay"), ("paid", "byPaidDay"), (None, "bySettledDay")]
    )
    def test_of_settlements_they_are_those_of_the_ledger(
        self, admin: Actor, month: dict[str, str], by: str | None, days: str
    ) -> None:
        query = {"by": by} if by else {}
        found = totals(admin, **month, **query, rows="settlements")
        answer = admin.call("GET", f"{SETTLEMENTS}/ledger", params=month)
        assert answer.status_code == 200, answer.text
        sums: dict[str, dict[str, int]] = {}
        for day in answer.json()[days]:
            for kind, of_day in day["types"].items():
                for name, amount in of_day.items():
                    of_kind = sums.setdefault(kind, {})
                    of_kind[name] = of_kind.get(name, 0) + amount
        assert sums.keys() == {"adjustment", "payment", "refund"}
        assert {each["type"]: each["currency"] for each in found} == dict.fromkeys(sums, "INR")
        names = ("credit", "debit", "net", "fee", "tax")
        assert {each["type"]: [each["count"], *map(each.get, names)] for each in found} == {
            kind: [each["rows"], *map(each.get, names)] for kind, each in sums.items()
        }
        # What the bank got is what came in, less what went out.
        bank = sum(day["bank"] for day in answer.json()["bySettledDay"])
        assert sum(each["net"] for each in found) == bank

    def test_what_is_settled_of_payments_and_refunds_is_what_the_bank_got_but_for_adjustments(
        self, admin: Actor, month: dict[str, str]
    ) -> None:
        of_rows = {each["type"]: each for each in totals(admin, **month, rows="settlements")}
        payments = totals(admin, **month, rows="payments", by="settled")
        refunds = totals(admin, **month, rows="refunds", by="settled")
        for name in ("fee", "tax"):
            assert sum(each[name] for each in payments) == of_rows["payment"][name]
        settled = sum(each["settledAmount"] for each in payments)
        assert settled == of_rows["payment"]["net"] == sum(each["net"] for each in payments)
        assert sum(each["amount"] for each in refunds) == of_rows["refund"]["debit"] == 20_000
        assert sum(each["net"] for each in refunds) == of_rows["refund"]["net"]
        assert sum(each["count"] for each in refunds) == of_rows["refund"]["count"] == 4

    def test_of_disputes_they_say_what_is_in_dispute(
        self, admin: Actor, month: dict[str, str]
    ) -> None:
        (found,) = totals(admin, rows="disputes")
        assert found == {
            **{"currency": "INR", "status": "open", "count": 1},
            **{"amount": 1_000, "amountDeducted": 0},
        }

    def test_each_currency_has_its_own(self, shop: Shop, user: Actor, admin: Actor) -> None:
        for currency in ("INR", "KWD", "JPY", "INR"):
            shop.edit(user.new_payment(amount=1_230), currency=currency)
        found = lines(admin, totals=True, unit="major")
        amounts = [(each["currency"], each["amount"], each["count"]) for each in found[4:]]
        assert amounts == [("INR", "24.60", "2"), ("JPY", "1230", "1"), ("KWD", "1.230", "1")]

    @pytest.mark.parametrize("kind", ["payments", "refunds", "disputes", "settlements"])
    def test_an_empty_period_says_that_it_is_empty(
        self, shop: Shop, admin: Actor, kind: str
    ) -> None:
        (found,) = totals(admin, rows=kind)
        assert found.pop("count") == 0
        assert set(found.values()) == {None}

    def test_older_payments_were_paid_as_they_were_ordered(
        self, shop: Shop, user: Actor, admin: Actor
    ) -> None:
        payment, _ = user.buy(shop.sandbox, amount=50_000)
        shop.edit(payment, amountPaid=None)
        (row, total) = lines(admin, totals=True)
        assert (row["amountPaid"], total["amountPaid"]) == ("", "50000")


@pytest.mark.owasp(line="API8")
@pytest.mark.parametrize("text", ["=1+1", "\N{NO-BREAK SPACE}@SUM(A1)", "\t=1"])
@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("refunds", {"reason": "reason", "failure": "failure", "arn": "arn"}),
        ("disputes", {"phase": "phase", "reasonCode": "reasonCode"}),
        ("disputes", {"reasonDescription": "reasonDescription"}),
        ("settlements", {"description": "description", "method": "method", "type": "type"}),
        ("settlements", {"orderReceipt": "orderReceipt", "flaw": "flaw", "utr": "settlementUtr"}),
    ],
)
def test_no_text_of_them_is_a_formula(
    shop: Shop, user: Actor, admin: Actor, kind: str, names: dict[str, str], text: str
) -> None:
    payment, *_ = make_refund_and_dispute(shop, user, admin)
    settle(shop)
    read(shop)
    if kind == "settlements":
        shop.store.settlement_rows.update_many({}, {"$set": dict.fromkeys(names, text)})
    else:
        shop.edit(payment, **{f"{kind}.0.{name}": text for name in names})
    row = lines(admin, rows=kind)[0]
    query = {**EVER, "rows": kind, "format": "xlsx"}
    answer = admin.call("GET", f"{PAYMENTS}/export", params=query)
    header, cells, *_ = openpyxl.load_workbook(io.BytesIO(answer.content))[kind].iter_rows()
    found = {name.value: cell for name, cell in zip(header, cells, strict=True)}
    for column in names.values():
        assert row[column] == f"'{text}"
        assert (found[column].data_type, found[column].value) == ("s", text)
