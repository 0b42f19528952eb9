"""A month for finance: payments, refunds, disputes and settlements as lines of files, beside the ledger."""

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import openpyxl
import pytest

from tests.actors import PAYMENTS, Actor
from tests.aliases import Json
from tests.money.books import read, settle
from tests.money.disputes import raise_dispute, tell
from tests.money.shop import Shop

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
        period = {"from": "2020-01-01", "to": "2099-01-01"}
        (row,) = lines(admin, rows="disputes", **period)
        assert (row["disputeId"], row["referenceId"]) == (dispute["id"], payment["referenceId"])
        assert (row["amount"], row["status"], row["phase"]) == ("10000", "open", "chargeback")
        (in_rupees,) = lines(admin, rows="disputes", unit="major")
        assert (in_rupees["amount"], in_rupees["amountDeducted"]) == ("100.00", "0.00")

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
        """Midnight in India, between March and April, is at 18:30 in UTC."""
        payment, _ = user.buy(shop.sandbox, amount=50_000)
        refund(admin, payment, 100)
        refund(admin, payment, 200)
        midnight = datetime(2026, 3, 31, 18, 30, tzinfo=UTC)
        before = midnight - timedelta(milliseconds=1)
        shop.edit(payment, **{"refunds.0.createdAt": before, "refunds.1.createdAt": midnight})

        def amounts(first: str, last: str) -> list[tuple[str, str]]:
            found = lines(admin, rows="refunds", **{"from": first, "to": last})
            return [(row["amount"], row["createdOn"]) for row in found]

        assert amounts("2026-03-01", "2026-04-01") == [("100", "2026-03-31")]
        assert amounts("2026-04-01", "2026-05-01") == [("200", "2026-04-01")]
        assert amounts("2026-05-01", "2026-06-01") == []

    @pytest.mark.parametrize("kind", ["payments", "refunds", "disputes", "settlements"])
    def test_each_kind_fits_into_each_form(
        self, shop: Shop, user: Actor, admin: Actor, kind: str
    ) -> None:
        make_refund_and_dispute(shop, user, admin)
        settle(shop)
        read(shop)
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
