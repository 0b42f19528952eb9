"""The tests' own alarm works: a MongoDB command on the event loop is seen."""

import asyncio
from typing import Any

from pymongo.database import Database

from tests.tripwire import tripwire


def test_a_database_command_on_the_event_loop_is_noticed(store: Database[dict[str, Any]]) -> None:
    async def careless() -> None:
        store.users.find_one({})

    asyncio.run(careless())
    assert tripwire.tripped == ["find"]
    tripwire.tripped.clear()


def test_a_database_command_in_a_thread_is_fine(store: Database[dict[str, Any]]) -> None:
    asyncio.run(asyncio.to_thread(store.users.find_one, {}))
    assert tripwire.tripped == []
