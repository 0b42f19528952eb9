"""What migrations do to accounts and payments that are older."""

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from kernapay.payments.note_hashes import hash_note, hash_notes
from kernapay.payments.order_notes import NOTE
from kernapay.storage.migration_files import migrations_folder
from kernapay.storage.migrations import Migrator
from kernapay.webhooks.personal import remove_personal
from tests.aliases import Json, Store

pytestmark = pytest.mark.soak

AT = datetime(2026, 1, 1, tzinfo=UTC)


def up_to(folder: Path, last: str) -> Path:
    """Return a folder with the migrations up to this one."""
    folder.mkdir()
    for path in migrations_folder().glob("[0-9]*.py"):
        if path.stem <= last:
            shutil.copy(path, folder)
    return folder


def test_names_of_older_accounts_become_searchable_and_nothing_else_changes(
    empty_database: Store, tmp_path: Path
) -> None:
    migrator = Migrator(empty_database, up_to(tmp_path / "migrations", "0010_folded_names"))
    rows = [{"_id": n, "email": f"{n}@example.com", "name": f"Weiß Ž{n}"} for n in range(2500)]
    nameless = {"_id": 2500, "email": "nameless@example.com"}
    empty_database.users.insert_many([*rows, nameless])
    assert migrator.up()[-1] == "0010_folded_names"
    folded = [{**row, "nameFolded": f"weiss ž{row['_id']}"} for row in rows]
    assert list(empty_database.users.find().sort("_id")) == [*folded, nameless]
    # Killed between its last step and its entry in the ledger, it is run once more.
    empty_database.migrations.delete_one({"_id": "0010_folded_names"})
    assert migrator.up() == ["0010_folded_names"]
    migrator.down()
    assert empty_database.users.count_documents({"nameFolded": {"$exists": True}}) == 0
    assert "name" in empty_database.users.index_information()
    assert migrator.up() == ["0010_folded_names"]


class TestNoteHashes:
    NAME = "0022_note_hashes"

    @pytest.fixture
    def old(self, empty_database: Store, tmp_path: Path) -> Store:
        """A database of the version before."""
        Migrator(empty_database, up_to(tmp_path / "migrations", "0021_~")).up()
        return empty_database

    @pytest.fixture
    def migrator(self, old: Store, tmp_path: Path) -> Migrator:
        return Migrator(old, up_to(tmp_path / "with_hashes", "0022_~"))

    def test_older_payments_have_the_hashes_that_new_ones_have(
        self, old: Store, migrator: Migrator
    ) -> None:
        payers: list[Json] = [{"userId": ObjectId()}, {"userId": "5f0c"}, {"userId": None}]
        kinds_of_notes = (
            {"cart": "42"},
            {"a": " Ž 1 ", "b": "x" * 256, "c": "\u20031"},
            {"a": "1", "b": "1 "},
        )
        rows = [
            {**payer, "_id": ObjectId(), "referenceId": f"PAY_{ObjectId()}", "notes": notes}
            for notes in kinds_of_notes
            for payer in payers
        ]
        old.payments.insert_many(rows)
        assert migrator.up() == [self.NAME]
        for row in rows:
            found = old.payments.find_one({"_id": row["_id"]})
            assert found == {**row, "noteHashes": hash_notes(row["notes"])}

    def test_notes_of_other_systems_are_found_as_they_are_shown(
        self, old: Store, migrator: Migrator
    ) -> None:
        kinds_of_notes: list[tuple[object, list[str] | None]] = [
            ("Invoice 7 ", ["Invoice 7"]),
            ({"number": 42, "paid": True, "none": None, "empty": " "}, ["42", "True"]),
            ({str(number): str(number) for number in range(99)}, [*map(str, range(15))]),
            *((nothing, None) for nothing in (None, {}, "", "  ", {"a": None})),
        ]
        old.payments.insert_many(
            {"userId": ObjectId(), "referenceId": f"PAY_{place}", "notes": notes}
            for place, (notes, _) in enumerate(kinds_of_notes)
        )
        assert migrator.up() == [self.NAME]
        for place, (notes, values) in enumerate(kinds_of_notes):
            found = old.payments.find_one({"referenceId": f"PAY_{place}"})
            assert found is not None
            assert found["notes"] == notes
            expected = values and sorted(map(hash_note, values))
            assert found.get("noteHashes") == expected, notes

    def test_a_row_without_a_payer_and_one_with_another_kind_of_id_are_no_obstacle(
        self, old: Store, migrator: Migrator
    ) -> None:
        rows: list[Json] = [{"_id": kind, "notes": {"cart": "42"}} for kind in (1, "text")]
        old.payments.insert_many(
            {**row, "referenceId": f"PAY_{row['_id']}", "userId": row["_id"]} for row in rows
        )
        row = {"referenceId": "PAY_x", "notes": {"cart": "42"}}
        inserted = old.payments.insert_one(row).inserted_id
        migrator.up()
        found = list(old.payments.find({"noteHashes": hash_note("42")}))
        assert [row["_id"] for row in found] == [inserted]

    def test_a_run_that_was_killed_goes_on_where_it_stopped(
        self, old: Store, migrator: Migrator
    ) -> None:
        rows = [
            {"_id": ObjectId(), "userId": n, "referenceId": f"PAY_{n}", "notes": {"n": str(n)}}
            for n in range(2500)
        ]
        rows[5]["noteHashes"] = ["from the run before"]
        old.payments.insert_many(rows)
        assert migrator.up() == [self.NAME]
        expected = [row.get("noteHashes") or hash_notes(row["notes"]) for row in rows]  # type: ignore[arg-type]
        assert [row["noteHashes"] for row in old.payments.find().sort("userId")] == expected
        # Killed between its last step and its entry in the ledger, it is run once more.
        old.migrations.delete_one({"_id": self.NAME})
        assert migrator.up() == [self.NAME]
        assert migrator.down() == [self.NAME]
        assert "note_hashes" not in old.payments.index_information()
        old.payments.update_one({"_id": rows[0]["_id"]}, {"$unset": {"noteHashes": ""}})
        assert migrator.up() == [self.NAME]
        assert [row["noteHashes"] for row in old.payments.find().sort("userId")] == expected


class TestPayeesAndApprovals:
    @pytest.fixture
    def old(self, empty_database: Store, tmp_path: Path) -> Store:
        """A database of the version before."""
        folder = up_to(tmp_path / "migrations", "0011_~")
        Migrator(empty_database, folder).up()
        return empty_database

    def account(self, old: Store, role: str, **changes: Any) -> ObjectId:
        row = {"_id": ObjectId(), "type": role, "status": "ACTIVE", "createdAt": AT, **changes}
        old.users.insert_one({**row, "email": f"{row['_id']}@example.com"})
        return ObjectId(row["_id"])

    def paid_to(self, old: Store, provider: object, **changes: Any) -> ObjectId:
        """Insert a payment of an hour after `AT`."""
        row: Json = {"_id": ObjectId(), "userId": ObjectId(), "createdAt": AT + timedelta(hours=1)}
        texts = {"referenceId": f"PAY_{row['_id']}", "providerId": str(provider)}
        old.payments.insert_one({**row, **texts, **changes})
        return ObjectId(row["_id"])

    def payee(self, old: Store, payment: ObjectId) -> ObjectId | None:
        row = old.payments.find_one(payment)
        assert row is not None
        payee: ObjectId | None = row.get("payeeId")
        return payee

    def test_providers_that_exist_start_unapproved(self, old: Store) -> None:
        provider, user = self.account(old, "PROVIDER"), self.account(old, "USER")
        Migrator(old).up()
        rows = {row["_id"]: row for row in old.users.find()}
        assert rows[provider]["isApprovedProvider"] is False
        assert "isApprovedProvider" not in rows[user]

    def test_what_was_paid_to_a_provider_is_theirs_and_nothing_else(self, old: Store) -> None:
        provider = self.account(old, "PROVIDER")
        theirs = [self.paid_to(old, provider) for _ in range(1001)]
        others = [
            self.paid_to(old, provider, createdAt=AT - timedelta(seconds=1)),  # signed up later
            self.paid_to(old, provider, userId=provider),  # their own purchase
            self.paid_to(old, self.account(old, "USER")),
            self.paid_to(old, self.account(old, "ADMIN")),
            self.paid_to(old, self.account(old, "PROVIDER", createdAt=None)),
            self.paid_to(old, ObjectId()),
            self.paid_to(old, "clinic-7"),
        ]
        Migrator(old).up()
        assert {self.payee(old, payment) for payment in theirs} == {provider}
        assert [self.payee(old, payment) for payment in others] == [None] * len(others)

    def test_what_was_paid_before_a_user_became_a_provider_is_not_theirs(self, old: Store) -> None:
        provider = self.account(old, "PROVIDER")
        became, locked = AT + timedelta(minutes=90), AT + timedelta(hours=3)
        for at, before, after in ((became, "USER", "PROVIDER"), (locked, "PROVIDER", "PROVIDER")):
            old.audit_log.insert_one(
                {
                    "target": f"user:{provider}",
                    "action": "user.change",
                    "before": {"type": before},
                    "after": {"type": after},
                    "createdAt": at,
                }
            )
        early = self.paid_to(old, provider)
        late = self.paid_to(old, provider, createdAt=became + timedelta(seconds=1))
        Migrator(old).up()
        assert (self.payee(old, early), self.payee(old, late)) == (None, provider)

    def test_a_repeat_after_a_crash_ends_no_approval(self, old: Store) -> None:
        provider = self.account(old, "PROVIDER")
        Migrator(old).up()
        old.users.update_one({"_id": provider}, {"$set": {"isApprovedProvider": True}})
        payment = self.paid_to(old, provider)
        old.migrations.delete_one({"_id": "0012_payees_and_approvals"})
        assert Migrator(old).up() == ["0012_payees_and_approvals"]
        assert old.users.count_documents({"isApprovedProvider": True}) == 1
        assert self.payee(old, payment) == provider


class TestInboxWithoutTexts:
    NAME = "0041_inbox_without_texts"
    OWN = f"{ObjectId()}|1|1769854530250_u1Zq8oYc3nXwT5vRk2LmPA|||CONSULTATION"

    @pytest.fixture
    def old(self, empty_database: Store, tmp_path: Path) -> Store:
        """A database of the version before."""
        Migrator(empty_database, up_to(tmp_path / "migrations", "0040_~")).up()
        return empty_database

    @pytest.fixture
    def migrator(self, old: Store, tmp_path: Path) -> Migrator:
        return Migrator(old, up_to(tmp_path / "with_texts", "0041_~"))

    def body(self, **entity: Any) -> bytes:
        told = {"event": "payment.captured", "payload": {"payment": {"entity": entity}}}
        # As the gateway writes it, with blanks.
        return json.dumps(told).encode()

    def row(self, number: int, **more: Any) -> Json:
        return {"_id": number, "eventId": f"evt_{number}", "bodyHash": str(number), **more}

    def test_older_events_are_as_new_ones_are_stored(self, old: Store, migrator: Migrator) -> None:
        deep = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
        bodies = [
            self.body(description="For Asha", notes={"for": "Asha", NOTE: self.OWN}, amount=2**70),
            self.body(description="For Asha", email="asha@example.com", fee=118.0),
            self.body(notes={NOTE: "asha@example.com"}, error_description="Declined."),
            self.body(notes={NOTE: self.OWN}),
            self.body(notes=[], reason_description="Fraud", items=[{"comment": "x"}, {"terms": 1}]),
            b'{"description":"Asha \xff","amount":NaN}',
            *(b"no json", b"\xff", b"[1]", b"7", b"", deep),
        ]
        rows = [self.row(n, body=body, status="parked") for n, body in enumerate(bodies)]
        odd = [self.row(100), self.row(101, body=None), self.row(102, body="text")]
        old.webhook_events.insert_many([*rows, *odd])

        assert migrator.up() == [self.NAME]

        stored = [remove_personal(body) for body in bodies]
        assert [body for body in stored if b"sha" in body] == []
        expected = [{**row, "body": body} for row, body in zip(rows, stored, strict=True)]
        assert list(old.webhook_events.find().sort("_id")) == [*expected, *odd]
        # Killed between its last step and its entry in the ledger, it is run once more.
        old.migrations.delete_one({"_id": self.NAME})
        assert migrator.up() == [self.NAME]
        assert migrator.down() == [self.NAME]
        assert list(old.webhook_events.find().sort("_id")) == [*expected, *odd]

    def test_more_events_than_a_batch_has_are_all_looked_at(
        self, old: Store, migrator: Migrator
    ) -> None:
        body = self.body(description="For Asha")
        old.webhook_events.insert_many(self.row(n, body=body) for n in range(1_250))
        migrator.up()
        assert {row["body"] for row in old.webhook_events.find()} == {remove_personal(body)}
