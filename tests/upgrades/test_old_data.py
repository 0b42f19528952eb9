"""Data that earlier versions have written, from the first one on: after `migrate up`, everything goes on."""

import re
from pathlib import Path

import pytest

from tests.actors import ADMIN_USERS, log_in, request_refund, status
from tests.databases import row_of
from tests.factories import PASSWORD
from tests.upgrades.conftest import Site
from tests.upgrades.dumps import DATA, Dump
from tests.waiting import eventually

pytestmark = pytest.mark.long

STATUSES = {
    "waiting": "pending",
    "verified": "success",
    "told": "success",
    "failed": "failed",
    "partly": "success",
    "refunded": "refunded",
    "missed": "pending",
}
DUMPS = sorted(DATA.glob("*.zip"))
# The first and the last of them go through what the others do.
BETWEEN = DUMPS[1:-1]


def findings(site: Site) -> list[tuple[str, str]]:
    """Return the kind and the payment of each difference that `kernapay audit` finds."""
    ran = site.kernapay("audit")
    assert ran.returncode in (0, 1), ran.stdout + ran.stderr
    return re.findall(r"^(\w+) +(PAY_\S+|\w+_\w{14}|-) ", ran.stdout, re.MULTILINE)


def repair(site: Site) -> None:
    reported = site.kernapay("reconcile")
    report = re.search("Report ([0-9a-f]{24})", reported.stdout)
    assert report, reported.stdout + reported.stderr
    repaired = site.kernapay("repair", report[1])
    assert repaired.returncode == 0, repaired.stdout + repaired.stderr


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, marks=pytest.mark.soak if path in BETWEEN else (), id=path.stem)
        for path in DUMPS
    ],
)
def test_accounts_and_payments_of_an_earlier_version_go_on(site: Site, path: Path) -> None:
    dump = Dump(path)
    site.restore(dump)
    payments = dump.facts.payments
    assert payments.keys() == STATUSES.keys()
    migrated = site.kernapay("migrate", "up")
    assert migrated.returncode == 0, migrated.stdout + migrated.stderr
    assert site.kernapay("migrate", "status").returncode == 0
    # Paid while nobody could be told.
    assert findings(site) == [("status", payments["missed"]["referenceId"])]

    api = site.start_api()
    asha, doctor, root = (
        log_in(api.client, email, PASSWORD) for email in dump.facts.emails.values()
    )
    assert {name: status(api.client, each)["status"] for name, each in payments.items()} == STATUSES
    references = {each["referenceId"] for each in payments.values()}
    assert {each["referenceId"] for each in asha.history().json()} == references
    for name, each in payments.items():
        row = row_of(site.store.payments, referenceId=each["referenceId"])
        if STATUSES[name] in ("success", "refunded"):
            assert (row["amountPaid"], row["final"]) == (50_000, True), name
        else:
            # The worker asks the gateway for it, and ends it one day.
            assert row["checkAt"] < row["endsAt"], name

    # Orders and money from before.
    site.sandbox.deliver_to(api.url)
    site.sandbox.pay(payments["waiting"]["orderId"])
    eventually(lambda: status(api.client, payments["waiting"])["status"] == "success")
    assert request_refund(root, payments["verified"]).status_code in (201, 202)
    assert request_refund(root, payments["partly"], 40_000).status_code == 409
    assert request_refund(root, payments["partly"]).status_code in (201, 202)
    eventually(lambda: status(api.client, payments["verified"])["status"] == "refunded")
    eventually(lambda: status(api.client, payments["partly"])["status"] == "refunded")
    # A provider from before approvals existed gives nothing back until an administrator knows them.
    assert request_refund(doctor, payments["told"]).status_code == 403
    approved = root.call("POST", f"{ADMIN_USERS}/{doctor.id}/approve")
    assert approved.status_code == 200, approved.text
    assert request_refund(doctor, payments["told"], 10_000).status_code in (201, 202)

    repair(site)
    assert status(api.client, payments["missed"])["status"] == "success"
    asha.buy(site.sandbox)
    assert findings(site) == []
