"""What the migration of this part does to the data of the service before it."""

from collections.abc import Callable

from kernapay.devstack.servers import MongoServer
from kernapay.storage.migrations import Migrator
from kernapay.storage.mongo import open_database


def test_refresh_tokens_kept_readable_by_the_former_service_are_forgotten(
    mongo_server: MongoServer, fresh_database: Callable[[], str]
) -> None:
    client, database = open_database(mongo_server.database_url(fresh_database()))
    try:
        database.users.insert_many(
            [
                {"email": "a@example.com", "refreshToken": "readable", "name": "A"},
                {"email": "b@example.com", "name": "B"},
            ]
        )
        assert "0007_refresh_tokens" in Migrator(database).up()
        rows = {row["email"]: row for row in database.users.find()}
        assert "refreshToken" not in rows["a@example.com"]
        assert rows["a@example.com"]["name"] == "A"
        assert Migrator(database).up() == []
    finally:
        client.drop_database(database.name)
        client.close()
