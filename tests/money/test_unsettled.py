"""What was captured and not settled in time is a finding of one night."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import httpx
import pytest

from kernapay.core.clock import now
from tests.actors import REPORTS, Actor
from tests.aliases import Json
from tests.exposition import Exposition
from tests.money.books import DAY, age, compare, kinds, read, repair, settle
from tests.money.shop import Shop

HOUR = timedelta(hours=1)
WITHIN = timedelta(days=7)


@pytest.fixture
def late(shop: Shop, user: Actor) -> Json:
    """Return a payment of eight days ago that is not settled, beside one that is."""
    in_time, _ = user.buy(shop.sandbox)
    settle(shop)
    read(shop)
    payment, _ = user.buy(shop.sandbox)
    for each in (in_time, payment):
        age(shop, each, 8 * DAY)
    assert shop.row(in_time)["settledAt"] is not None
    return payment


def night_of(shop: Shop, payment: Json) -> Sequence[datetime]:
    """Return the window in which a payment should have been settled at the latest."""
    due = shop.row(payment)["paidAt"] + WITHIN
    return due - HOUR, due + HOUR


def found(findings: Sequence[Json]) -> list[Json]:
    return [each for each in findings if each["kind"] == "unsettled"]


def test_it_is_found_in_the_window_in_which_its_time_ended_and_in_no_other(
    shop: Shop, late: Json
) -> None:
    read(shop)
    start, end = night_of(shop, late)
    due = start + HOUR

    report, findings = compare(shop, start, end)

    (finding,) = found(findings)
    row = shop.row(late)
    assert finding["referenceId"] == late["referenceId"]
    assert (finding["orderId"], finding["razorpayPaymentId"]) == (
        late["orderId"],
        row["razorpayPaymentId"],
    )
    assert finding["ours"] == f"50000 INR captured on {row['paidAt'].date()}"
    assert finding["theirs"] == "not settled"
    assert report["isComplete"] is True
    # Windows are half open: the next one begins with its last instant, and none has it twice.
    assert len(found(compare(shop, due, end)[1])) == 1
    assert found(compare(shop, start, due)[1]) == []
    assert found(compare(shop, end, now())[1]) == []


def test_settled_within_says_when(shop: Shop, late: Json) -> None:
    read(shop)
    start, end = night_of(shop, late)
    first = ("--from", text(start), "--to", text(end))
    by_default = shop.kernapay("reconcile", *first)
    assert by_default.returncode == 1, by_default.stderr
    assert by_default.stdout.startswith("1 difference(s)")
    patient = {"SETTLED_WITHIN": "8d"}
    assert shop.kernapay("reconcile", *first, **patient).returncode == 0
    a_day_later = ("--from", text(start + DAY), "--to", text(now()))
    assert shop.kernapay("reconcile", *a_day_later, **patient).returncode == 1


def test_a_person_asks_the_gateway_and_it_is_repaired_once_it_is_settled(
    shop: Shop, late: Json, admin: Actor, api: httpx.Client
) -> None:
    read(shop)
    (finding,) = found(compare(shop, *night_of(shop, late))[1])
    path = f"{REPORTS}/{finding['reportId']}"
    assert Exposition.of(api).sum("kernapay_open_findings", kind="unsettled") == 1

    answer = admin.call("POST", f"{path}/findings/{finding['_id']}/repair")

    assert answer.status_code == 200, answer.text
    assert answer.json()["isRepaired"] is False
    assert "ask the gateway's support" in answer.json()["outcome"]
    assert "ask the gateway's support" in repair(shop, finding, is_dry_run=True)[0]
    settle(shop)
    read(shop, 2 * HOUR)
    assert repair(shop, finding) == ("payment is success", True)
    assert Exposition.of(api).sum("kernapay_open_findings", kind="unsettled") == 0
    (shown,) = admin.call("GET", path).json()["findings"]
    assert (shown["kind"], shown["repairedAt"] is not None) == ("unsettled", True)


def test_days_that_were_not_read_yet_leave_the_report_incomplete(shop: Shop, late: Json) -> None:
    report, findings = compare(shop, *night_of(shop, late))
    assert found(findings) == []
    assert report["isComplete"] is False
    (told,) = report["unchecked"]
    assert told.startswith("1 payment(s) without a settlement: that of ")

    settle(shop)
    read(shop, 2 * HOUR)

    report, findings = compare(shop, *night_of(shop, late))
    assert (report["isComplete"], kinds(findings)) == (True, [])


def test_an_account_that_was_never_settled_anything_has_no_such_finding(
    shop: Shop, user: Actor
) -> None:
    payment, _ = user.buy(shop.sandbox)
    age(shop, payment, 8 * DAY)
    read(shop)
    report, findings = compare(shop, *night_of(shop, payment))
    assert (report["isComplete"], found(findings)) == (True, [])


def test_an_audit_prints_it(shop: Shop, late: Json) -> None:
    read(shop)
    audited = shop.kernapay("audit")
    assert audited.returncode == 1, audited.stderr
    (line,) = [line for line in audited.stdout.splitlines() if line.startswith("unsettled")]
    assert late["referenceId"] in line
    assert line.endswith("gateway: not settled")


def text(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S")
