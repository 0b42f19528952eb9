"""GET /payments/totals: what a list adds up to, read from the index alone."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId

from kernapay.payments.listing.repository import Criteria, index_for, totals_pipelines
from kernapay.payments.metadata import hash_entry, hash_metadata
from kernapay.payments.states import Status
from kernapay.storage.migrations import Migrator
from tests.actors import PAYMENTS, Actor, People, assert_problem, request_refund
from tests.aliases import Json, Store, json_of
from tests.stack import Sandbox

_AT = datetime(2026, 1, 31, tzinfo=UTC)


def totals(who: Actor, **filters: Any) -> list[Json]:
    """Return the totals of some days around now."""
    now = datetime.now(UTC)
    period = {"from": (now - timedelta(days=10)).isoformat()}
    period["to"] = (now + timedelta(days=1)).isoformat()
    answer = who.call("GET", f"{PAYMENTS}/totals", params={**period, **filters})
    assert answer.status_code == 200, answer.text
    found: list[Json] = answer.json()["totals"]
    return found


def test_totals_add_up_what_the_list_has(
    user: Actor, admin: Actor, people: People, sandbox: Sandbox
) -> None:
    paid, _ = user.buy(sandbox, amount=700)
    user.buy(sandbox, amount=1_100)
    user.new_payment(amount=300, metadata={"cart": 42})
    whole, _ = user.buy(sandbox, amount=200)
    for payment, amount in ((paid, 250), (whole, 200)):
        assert request_refund(admin, payment, amount=amount).status_code == 201
    people.new().new_payment(amount=4_000)
    lines = [
        ("pending", 1, 300, 0, 0),
        ("refunded", 1, 200, 200, 200),
        ("success", 2, 1_800, 1_800, 250),
    ]
    names = ("status", "count", "amount", "amountPaid", "amountRefunded")
    expected = [{"currency": "INR", **dict(zip(names, line, strict=True))} for line in lines]
    assert totals(user) == expected
    assert totals(admin, userId=user.id) == expected
    assert totals(user, status="success", maxAmount=700, late="false") == [
        {**expected[2], "count": 1, "amount": 700, "amountPaid": 700}
    ]
    assert totals(user, late="true") == totals(user, status="failed") == []
    assert totals(user, **{"metadata[cart]": "42"}) == [{**expected[0], "count": 1}]


def test_totals_read_rows_of_other_systems_as_lists_do(user: Actor, store: Store) -> None:
    made = [user.new_payment(amount=1_000)["referenceId"] for _ in range(5)]
    paid = {"status": "success", "amountRefunded": None}
    changes: list[Json] = [
        {"$set": paid, "$unset": {"currency": "", "amountPaid": ""}},
        {"$set": {"amount": 1_000.0, "userId": user.id}},
        {"$set": {"status": "unheard of"}},
        {"$set": {"currency": "USD"}},
        {"$unset": {"createdAt": ""}},
    ]
    for reference, change in zip(made, changes, strict=True):
        store.payments.update_one({"referenceId": reference}, change)
    try:
        assert [
            (t["currency"], t["status"], t["count"], t["amountPaid"]) for t in totals(user)
        ] == [
            ("INR", "pending", 1, 0),
            ("INR", "success", 1, 1_000),
            ("USD", "pending", 1, 0),
        ]
        store.payments.update_one({"referenceId": made[3]}, {"$set": {"amount": 0.5}})
        now = datetime.now(UTC)
        period = {"from": f"{now - timedelta(days=1):%F}", "to": f"{now + timedelta(days=2):%F}"}
        answer = user.call("GET", f"{PAYMENTS}/totals", params=period)
        assert_problem(answer, 409, code="unreadable_row")
    finally:
        store.payments.delete_many({"referenceId": {"$in": made}})


@pytest.mark.parametrize(
    ("period", "field"),
    [
        ({}, "from"),
        ({"to": "2026-02-01"}, "from"),
        ({"from": "2026-01-01"}, "to"),
        ({"from": "2026-01-01", "to": "2026-02-02"}, "to"),
        ({"from": "2026-02-01", "to": "2026-01-01"}, "to"),
    ],
)
def test_totals_need_a_period_of_a_month(user: Actor, period: Json, field: str) -> None:
    assert_problem(user.call("GET", f"{PAYMENTS}/totals", params=period), 400, field=field)


def test_totals_say_which_period_they_are_of(user: Actor) -> None:
    month = {"from": "2026-01-01", "to": "2026-02-01"}
    assert json_of(user.call("GET", f"{PAYMENTS}/totals", params=month)) == {
        "from": "2025-12-31T18:30:00Z",
        "to": "2026-01-31T18:30:00Z",
        "totals": [],
    }


@pytest.mark.parametrize("payer", [None, str(ObjectId())], ids=["everybody's", "one's own"])
@pytest.mark.parametrize("entry", [None, hash_entry("cart", "42")], ids=["", "metadata"])
def test_totals_read_the_index_alone(
    empty_database: Store, payer: str | None, entry: str | None
) -> None:
    Migrator(empty_database).up()
    rows = empty_database.payments
    rows.insert_many(
        {
            "userId": payer and ObjectId(payer),
            "referenceId": f"PAY_{number}",
            "createdAt": _AT + timedelta(minutes=number),
            "status": "success",
            "amount": number,
            "metadataHashes": hash_metadata({"cart": "42", "number": number}),
        }
        for number in range(50)
    )
    criteria = Criteria(payer=payer, entry=entry, status=Status.SUCCESS, late=False, most=9)
    for given in (criteria, Criteria(payer=payer, entry=entry)):
        added = 0
        for pipeline in totals_pipelines(given, _AT, _AT + timedelta(days=1)):
            command = {
                "aggregate": "payments",
                "pipeline": pipeline,
                "cursor": {},
                "hint": index_for(given),
            }
            explained = empty_database.command({"explain": command, "verbosity": "executionStats"})
            assert "'totalDocsExamined': 0" in str(explained)
            found = rows.aggregate(pipeline, hint=index_for(given)).to_list()
            added += sum(group["count"] for group in found)
        assert added == (10 if given is criteria else 50)
