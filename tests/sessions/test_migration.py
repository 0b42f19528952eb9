"""What the migration of this part does to the data of the service before it."""

from kernapay.storage.migrations import Migrator
from tests.aliases import Store


def test_refresh_tokens_kept_readable_by_the_former_service_are_forgotten(
    empty_database: Store,
) -> None:
    empty_database.users.insert_many(
        [
            {"email": "a@example.com", "refreshToken": "readable", "name": "A"},
            {"email": "b@example.com", "name": "B"},
        ]
    )
    assert "0007_refresh_tokens" in Migrator(empty_database).up()
    rows = {row["email"]: row for row in empty_database.users.find()}
    assert "refreshToken" not in rows["a@example.com"]
    assert rows["a@example.com"]["name"] == "A"
    assert Migrator(empty_database).up() == []
