"""The tests' own alarm works: a MongoDB command on the event loop is seen."""

import asyncio

from tests.aliases import Store
from tests.tripwire import tripwire


def test_a_database_command_on_the_event_loop_is_noticed(store: Store) -> None:
    async def careless() -> None:
        store.users.find_one({})

    asyncio.run(careless())
    assert tripwire.tripped == ["find"]
    tripwire.tripped.clear()


def test_a_database_command_in_a_thread_is_fine(store: Store) -> None:
    asyncio.run(asyncio.to_thread(store.users.find_one, {}))
    assert tripwire.tripped == []
