"""Migration 0038: earlier payments are found by late money, disputes and metadata, however often it is begun."""

from datetime import UTC, datetime
from typing import Any

import pytest
from bson import ObjectId

from kernapay.payments.metadata import hash_metadata
from kernapay.storage.migrations import Migrator
from tests.aliases import Json, Store

NAME = "0038_payment_filters"
METADATA = {"a": "5", "b": 5, "c": True, "d.e": "\u20b9 \U0001f600", "f": 2**53}


@pytest.fixture
def old(empty_database: Store) -> Store:
    """A database of the version before."""
    migrator = Migrator(empty_database)
    migrator.up()
    while NAME not in migrator.down():
        pass
    assert {"listed", "payer_listed"} <= set(empty_database.payments.index_information())
    return empty_database


def payment(name: str, **more: Any) -> Json:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    steps = [{"status": "pending", "updatedAt": at}]
    return {"userId": ObjectId(), "referenceId": name, "createdAt": at, "history": steps, **more}


def rows() -> list[Json]:
    """Return payments of earlier versions, and of another system: their names say what each is to be."""
    return [
        payment("late, counted", history=[{"status": "success", "late": True}]),
        payment("late, goes back", surplusPayments=[{"reason": "late_payment"}]),
        payment("late, cancelled", surplusPayments=[{"reason": "cancelled_payment"}]),
        payment("late, held", mismatches=[{"reason": "late_payment"}]),
        payment(
            "in time", surplusPayments=[{"reason": "second_payment"}], mismatches=[], disputes=[]
        ),
        payment("disputed", disputes=[{"disputeId": "disp_1", "status": "won"}]),
        payment("found", metadata={**METADATA, "none": None, "weight": 1.5}),
        payment("found by nothing", metadata={"none": None, "list": [1]}),
        payment("empty", metadata={}),
        payment("odd", metadata="text", _id="text"),
    ]


def names_with(store: Store, **where: Any) -> set[str]:
    return {row["referenceId"] for row in store.payments.find(where)}


def test_marks_and_hashes_are_those_that_the_service_writes(old: Store) -> None:
    made = rows()
    old.payments.insert_many(made)

    Migrator(old).up()
    # The process died before the migration was entered, and an older version has written meanwhile.
    old.payments.insert_one(payment("late, meanwhile", mismatches=[{"reason": "late_payment"}]))
    old.migrations.delete_one({"_id": NAME})
    Migrator(old).up()

    late = {row["referenceId"] for row in made if row["referenceId"].startswith("late")}
    assert names_with(old, late=True) == {*late, "late, meanwhile"}
    assert names_with(old, disputed=True) == {"disputed"}
    assert names_with(old, metadataHashes={"$exists": True}) == {"found"}
    (found,) = old.payments.find({"referenceId": "found"})
    assert found["metadataHashes"] == hash_metadata(METADATA)
    assert not {"listed", "payer_listed"} & set(old.payments.index_information())


def test_more_rows_than_a_batch_has_are_all_looked_at(old: Store) -> None:
    disputed = {"disputes": [{"disputeId": "disp_1"}]}
    old.payments.insert_many(payment(f"PAY_{number}", **disputed) for number in range(2_500))
    Migrator(old).up()
    assert old.payments.count_documents({"disputed": True}) == 2_500
