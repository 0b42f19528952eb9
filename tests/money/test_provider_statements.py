"""Statements: a month of what was paid to a provider, beside the exports and the ledger, and its mails."""

import csv
import io
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pypdf
import pytest

from kernapay.bootstrap.services import Services
from kernapay.payments.statements.months import Month
from tests.actors import PAYMENTS, SETTLEMENTS, Actor, People, assert_problem, request_refund
from tests.aliases import Json
from tests.money.books import read, settle
from tests.money.disputes import FIRST, raise_dispute, tell
from tests.money.shop import Shop

INDIA = ZoneInfo("Asia/Kolkata")
STATEMENTS = "/v1/api/statements"
APRIL = {"from": "2026-04-01", "to": "2026-05-01"}
MIDNIGHT = datetime(2026, 3, 31, 18, 30, tzinfo=UTC)
SHOWN = ("received", "fee", "tax", "refunded", "deducted", "disputed", "net", "settled")


@pytest.fixture
def provider(people: People) -> Actor:
    return people.new("PROVIDER", approved=True, verified=True, name="Dr Meera Shah")


def statement(actor: Actor, provider: Actor, month: str = "2026-04") -> Json:
    answer = actor.call("GET", f"{STATEMENTS}/{provider.id}/{month}")
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


def rupees(found: Json) -> Json:
    return next(dict(each) for each in found["figures"] if each["currency"] == "INR")


def lines(actor: Actor, provider: Actor, **query: Any) -> list[dict[str, str]]:
    path = f"{STATEMENTS}/{provider.id}/2026-04/file"
    answer = actor.call("GET", path, params={"format": "csv", **query})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(answer.text)))


def exported(admin: Actor, **query: Any) -> list[dict[str, str]]:
    params = {**APRIL, "totals": True, **query}
    answer = admin.call("GET", f"{PAYMENTS}/export", params=params)
    assert answer.status_code == 200, answer.text
    found = csv.DictReader(io.StringIO(answer.text))
    return [row for row in found if next(iter(row.values())) == "TOTAL"]


def total(rows: list[dict[str, str]], name: str, **where: str) -> int:
    wanted = (row for row in rows if where.items() <= row.items())
    return sum(int(row[name] or 0) for row in wanted)


def move(shop: Shop, at: datetime, where: Mapping[str, Any] | None = None) -> None:
    """Let everything have happened at a time, in our books."""
    for row in shop.store.payments.find(where or {}):
        if "paidAt" in row:
            row["paidAt"] = at
        for each in (*row.get("refunds", []), *row.get("disputes", [])):
            each["createdAt"] = at
        for each in row.get("settlements", []):
            each["settledAt"] = at
        shop.store.payments.replace_one({"_id": row["_id"]}, row)
    shop.store.settlements.update_many({}, {"$set": {"settledAt": at}})


@pytest.fixture
def april(shop: Shop, user: Actor, admin: Actor, provider: Actor) -> Json:
    """A month with refunds, a lost dispute, and money that is settled and that is not. Return the dispute."""
    for amount in (50_000, 33_333, 12_345):
        payment, checkout = user.buy(shop.sandbox, amount=amount, providerId=provider.id)
        assert request_refund(admin, payment, 3_333, reason="Late").status_code == 201
    dispute = raise_dispute(shop, checkout["razorpay_payment_id"], amount=1_000)
    tell(admin.client, "created", dispute)
    tell(
        admin.client, "lost", {**dispute, "status": "lost", "amount_deducted": 1_000}, at=FIRST + 60
    )
    adjustment = {"debit": 1_000, "dispute_id": dispute["id"]}
    shop.sandbox.call("POST", "/_sandbox/adjustments", adjustment)
    user.new_payment(amount=777, providerId=provider.id)
    settle(shop)
    read(shop)
    user.buy(shop.sandbox, amount=99_999, providerId=provider.id)
    move(shop, MIDNIGHT + timedelta(hours=30))
    return dict(dispute)


def test_its_figures_are_those_of_the_exports_and_of_the_ledger_to_the_paisa(
    april: Json, shop: Shop, admin: Actor, provider: Actor
) -> None:
    found = statement(admin, provider)
    figures = rupees(found)
    assert (figures["payments"], figures["refunds"], figures["disputes"]) == (4, 3, 1)
    payments = exported(admin, rows="payments", by="paid")
    assert figures["received"] == total(payments, "amountPaid") == 50_000 + 33_333 + 12_345 + 99_999
    assert figures["fee"] == total(payments, "fee") > 0
    assert figures["tax"] == total(payments, "tax") > 0
    refunds = exported(admin, rows="refunds")
    assert figures["refunded"] == total(refunds, "amount", status="processed") == 9_999
    disputes = exported(admin, rows="disputes")
    assert figures["disputed"] == total(disputes, "amount") == 1_000
    assert figures["deducted"] == total(disputes, "amountDeducted") == 1_000
    assert figures["net"] == total(payments, "net") - 9_999 - 1_000
    settled = exported(admin, rows="settlements")
    assert figures["settled"] == total(settled, "net")
    ledger = admin.call("GET", f"{SETTLEMENTS}/ledger", params=APRIL).json()
    assert figures["settled"] == sum(day["bank"] for day in ledger["bySettledDay"]) > 0
    (transfer,) = found["transfers"]
    assert (transfer["amount"], transfer["on"]) == (figures["settled"], "2026-04-02")
    (day,) = found["days"]
    names = ("received", "refunded", "settled")
    assert {name: day[name] for name in names} == {name: figures[name] for name in names}
    assert (day["on"], found["isOver"], found["provider"]) == ("2026-04-02", True, "Dr Meera Shah")


def test_its_lines_are_what_its_figures_add_up(april: Json, admin: Actor, provider: Actor) -> None:
    figures = rupees(statement(provider, provider))
    rows = lines(provider, provider)
    totals = [row for row in rows if row["referenceId"] == "TOTAL"]
    plain = [row for row in rows if row["referenceId"] != "TOTAL"]
    kinds = [row["kind"] for row in plain]
    assert {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)} == {
        **{"payment": 4, "refund": 3, "dispute": 1, "settlement": 7},
    }
    assert total(totals, "count") == len(plain)
    for found in (plain, totals):
        assert total(found, "amount", kind="payment") == figures["received"]
        assert total(found, "fee", kind="payment") == figures["fee"]
        assert total(found, "amount", kind="refund") == figures["refunded"]
        assert total(found, "deducted", kind="dispute") == figures["deducted"]
        assert total(found, "net", kind="settlement") == figures["settled"]
    assert {row["on"] for row in plain} == {"2026-04-02"}
    assert {row["id"] for row in plain if row["kind"] == "dispute"} == {april["id"]}
    in_rupees = lines(admin, provider, unit="major")
    assert in_rupees[0]["amount"] == "500.00"


def test_its_pdf_says_the_same_in_the_same_bytes(april: Json, provider: Actor) -> None:
    figures = rupees(statement(provider, provider))
    path = f"{STATEMENTS}/{provider.id}/2026-04/file"
    first, second = (provider.call("GET", path) for _ in range(2))
    assert first.headers["content-type"] == "application/pdf"
    assert first.headers["content-disposition"] == 'attachment; filename="statement-2026-04.pdf"'
    assert first.content == second.content
    text = "\n".join(
        page.extract_text() for page in pypdf.PdfReader(io.BytesIO(first.content)).pages
    )
    assert "Dr Meera Shah" in text
    assert "April 2026" in text
    assert "1 Apr 2026 to 30 Apr 2026, Asia/Kolkata" in text
    for name in ("received", "net", "settled"):
        whole, rest = divmod(figures[name], 100)
        assert f"{whole % 1000:03}.{rest:02}" in text, name
    assert "₹1,956.77" in text


def test_its_month_is_one_of_the_business(shop: Shop, user: Actor, provider: Actor) -> None:
    early, _ = user.buy(shop.sandbox, amount=10_000, providerId=provider.id)
    late, _ = user.buy(shop.sandbox, amount=20_000, providerId=provider.id)
    move(shop, MIDNIGHT - timedelta(milliseconds=1), {"referenceId": early["referenceId"]})
    move(shop, MIDNIGHT, {"referenceId": late["referenceId"]})
    for month, received in (("2026-03", 10_000), ("2026-04", 20_000), ("2026-05", 0)):
        assert rupees(statement(provider, provider, month))["received"] == received, month


def test_nothing_of_others_is_in_it(
    shop: Shop, user: Actor, people: People, admin: Actor, provider: Actor
) -> None:
    other = people.new("PROVIDER", approved=True)
    for payee in (other.id, None):
        payment, _ = user.buy(shop.sandbox, **({"providerId": payee} if payee else {}))
        assert request_refund(admin, payment, 100).status_code == 201
    settle(shop)
    read(shop)
    move(shop, MIDNIGHT)
    assert rupees(statement(provider, provider)) == {
        **dict.fromkeys((*SHOWN, "payments", "refunds", "refundsUnderWay", "disputes"), 0),
        "currency": "INR",
    }
    assert rupees(statement(admin, other))["refunded"] == 100
    assert [row["referenceId"] for row in lines(provider, provider)] == ["TOTAL"]


def test_what_was_paid_in_foreign_money_has_a_fee_in_rupees_and_no_net(
    shop: Shop, user: Actor, provider: Actor
) -> None:
    payment, _ = user.buy(shop.sandbox, amount=50_000, providerId=provider.id)
    shop.edit(payment, currency="USD")
    move(shop, MIDNIGHT)
    found = {each["currency"]: each for each in statement(provider, provider)["figures"]}
    assert (found["USD"]["received"], found["USD"]["fee"], found["USD"]["net"]) == (50_000, 0, None)
    assert (found["INR"]["received"], found["INR"]["fee"], found["INR"]["net"]) == (0, 1180, -1180)


def test_whoever_may_not_have_it_is_refused(
    people: People, admin: Actor, user: Actor, provider: Actor
) -> None:
    waiting = people.new("PROVIDER")
    path = f"{STATEMENTS}/{waiting.id}/2026-04"
    assert assert_problem(waiting.call("GET", path), 403)["code"] == "not_approved"
    assert assert_problem(waiting.call("GET", f"{path}/file"), 403)["code"] == "not_approved"
    assert provider.call("GET", path).status_code == 403
    assert user.call("GET", f"{STATEMENTS}/{user.id}/2026-04").status_code == 403
    assert admin.call("GET", path).status_code == 200
    assert admin.call("GET", f"{STATEMENTS}/{'0' * 24}/2026-04").status_code == 404
    for month in ("2999-12", "2026-13"):
        refused = assert_problem(admin.call("GET", f"{STATEMENTS}/{provider.id}/{month}"), 400)
        assert [each["field"] for each in refused["errors"]] == ["month"]


def test_months_follow_each_other() -> None:
    assert Month(2026, 1).before == Month(2025, 12)
    assert Month(2026, 12).after == Month(2027, 1)
    assert [str(Month(2026, 4).before), str(Month(2026, 4).after)] == ["2026-03", "2026-05"]


class TestMails:
    def sweep(self, shop: Shop, later: timedelta, **settings: Any) -> None:
        """Do what a worker finds to do about statements so much later."""

        async def work(services: Services) -> None:
            while await services.statement_mails.sweep():
                pass
            while await services.outbox.sweep():
                pass

        shop.work(work, later, mailbox_url=shop.sandbox.url, **settings)

    def until(self, day: int) -> timedelta:
        """Return the time until noon on a day of next month."""
        today = datetime.now(INDIA)
        first = (today.replace(day=28) + timedelta(days=4)).replace(day=day, hour=12)
        return first - today

    def mailed(self, shop: Shop, provider: Actor) -> list[Json]:
        return list(shop.sandbox.items("/_sandbox/mailbox", to=provider.email))

    def test_each_provider_gets_the_last_month_once_though_the_worker_died_between(
        self, shop: Shop, user: Actor, people: People, provider: Actor
    ) -> None:
        idle, waiting = people.new("PROVIDER", approved=True, verified=True), people.new("PROVIDER")
        for payee in (provider, waiting):
            user.buy(shop.sandbox, amount=50_000, providerId=payee.id)
        mails = shop.store.statement_mails
        mails.delete_many({})
        self.sweep(shop, self.until(3), statement_day=4)
        self.sweep(shop, self.until(4))
        assert mails.count_documents({}) == 0
        self.sweep(shop, self.until(4), statement_day=4)
        (mail,) = self.mailed(shop, provider)
        month = datetime.now(INDIA)
        assert mail["subject"].endswith(f": statement for {month:%B %Y}")
        assert "Received: 1 payment: ₹500.00" in mail["text"]
        assert f"Attached: statement-{month:%Y-%m}.pdf" in mail["text"]
        # A worker that died after the mail was in the outbox: the month and the provider are due again.
        again = {"$set": {"state": "due", "dueAt": datetime.now(UTC)}}
        assert mails.update_many({}, again).matched_count > 2
        self.sweep(shop, self.until(4), statement_day=4)
        self.sweep(shop, self.until(20), statement_day=4)
        assert len(self.mailed(shop, provider)) == 1
        assert self.mailed(shop, idle) == self.mailed(shop, waiting) == []
        assert mails.count_documents({"state": {"$ne": "done"}}) == 0

    def test_whose_approval_ended_before_the_mail_gets_none(
        self, shop: Shop, user: Actor, admin: Actor, provider: Actor
    ) -> None:
        user.buy(shop.sandbox, amount=50_000, providerId=provider.id)
        month = f"{datetime.now(INDIA):%Y-%m}"
        shop.store.statement_mails.delete_many({})

        async def plan(services: Services) -> None:
            await services.statement_mail_repository.plan(month, provider.id)

        shop.work(plan)
        path = f"/v1/api/admin/users/{provider.id}/revoke-approval"
        assert admin.call("POST", path).status_code == 200
        self.sweep(shop, self.until(4), statement_day=4)
        assert self.mailed(shop, provider) == []
        row = shop.store.statement_mails.find_one({"_id": f"{month}:{provider.id}"})
        assert row is not None
        assert row["state"] == "done"
