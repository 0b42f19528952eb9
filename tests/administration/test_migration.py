"""What the migration to folded names does to accounts that are older."""

from kernapay.storage.migrations import Migrator
from tests.aliases import Store


def test_names_of_older_accounts_become_searchable_and_nothing_else_changes(
    empty_database: Store,
) -> None:
    rows = [{"_id": n, "email": f"{n}@example.com", "name": f"Weiß Ž{n}"} for n in range(2500)]
    nameless = {"_id": 2500, "email": "nameless@example.com"}
    empty_database.users.insert_many([*rows, nameless])
    assert "0010_folded_names" in Migrator(empty_database).up()
    folded = [{**row, "nameFolded": f"weiss ž{row['_id']}"} for row in rows]
    assert list(empty_database.users.find().sort("_id")) == [*folded, nameless]
    # Killed between its last step and its entry in the ledger, it is run once more.
    empty_database.migrations.delete_one({"_id": "0010_folded_names"})
    assert Migrator(empty_database).up() == ["0010_folded_names"]
    while "0010_folded_names" not in Migrator(empty_database).down():
        pass
    assert empty_database.users.count_documents({"nameFolded": {"$exists": True}}) == 0
    assert "name" in empty_database.users.index_information()
    assert Migrator(empty_database).up()[0] == "0010_folded_names"
