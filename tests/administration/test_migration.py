"""What the migration to folded names does to accounts that are older."""

from collections.abc import Callable

from kernapay.devstack.servers import MongoServer
from kernapay.storage.migrations import Migrator
from kernapay.storage.mongo import open_database


def test_names_of_older_accounts_become_searchable_and_nothing_else_changes(
    mongo_server: MongoServer, fresh_database: Callable[[], str]
) -> None:
    client, database = open_database(mongo_server.database_url(fresh_database()))
    try:
        rows = [{"_id": n, "email": f"{n}@example.com", "name": f"Weiß Ž{n}"} for n in range(2500)]
        nameless = {"_id": 2500, "email": "nameless@example.com"}
        database.users.insert_many([*rows, nameless])
        assert Migrator(database).up()[-1] == "0010_folded_names"
        folded = [{**row, "nameFolded": f"weiss ž{row['_id']}"} for row in rows]
        assert list(database.users.find().sort("_id")) == [*folded, nameless]
        # Killed between its last step and its entry in the ledger, it is run once more.
        database.migrations.delete_one({"_id": "0010_folded_names"})
        assert Migrator(database).up() == ["0010_folded_names"]
        Migrator(database).down()
        assert database.users.count_documents({"nameFolded": {"$exists": True}}) == 0
        assert "name" in database.users.index_information()
        assert Migrator(database).up() == ["0010_folded_names"]
    finally:
        client.drop_database(database.name)
        client.close()
