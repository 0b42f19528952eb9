"""The worker leaves a database alone that is not ready for it."""

import asyncio
from collections.abc import Mapping

import pytest

from kernapay.bootstrap.services import Services
from kernapay.storage.migrations import Migrator
from kernapay.worker import sweep_if_ready
from tests.aliases import Store
from tests.environment import settings_from
from tests.waiting import until

pytestmark = pytest.mark.anyio


async def test_nothing_is_swept_before_the_database_was_checked_and_while_it_lacks_an_index(
    api_env: Mapping[str, str], empty_database_url: str, empty_database: Store
) -> None:
    services = Services(settings_from(api_env, mongodb_url=empty_database_url))
    swept: list[str] = []

    async def is_swept(when: str) -> bool:
        async def sweep() -> bool:
            swept.append(when)
            return True

        return await sweep_if_ready(services, sweep)

    async def lacks_something() -> bool:
        return await services.schema_watch.check() is not None

    await asyncio.to_thread(Migrator(empty_database).up)
    await services.open()
    try:
        assert not await is_swept("before the first check")
        assert not await lacks_something()
        assert await is_swept("ready")
        await asyncio.to_thread(empty_database.payments.drop_index, "reference")
        await until(lacks_something)
        assert not await is_swept("without an index")
    finally:
        await services.close()
    assert swept == ["ready"]
