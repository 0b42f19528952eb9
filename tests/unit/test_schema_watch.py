"""What the watch makes of a MongoDB that answers, but not about the indexes."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager

import pytest

from kernapay.bootstrap.services import Services
from kernapay.core.errors import Unavailable
from kernapay.devstack.servers import MongoServer
from kernapay.storage.migrations import Migrator
from kernapay.storage.mongo import database
from tests.environment import settings_from
from tests.waiting import until

pytestmark = pytest.mark.anyio
PASSWORD = "7hR2mQ9xKc4v"


@pytest.fixture(scope="module")
def protected(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoServer]:
    """A mongod with a password, and a second user without rights in the service's database."""
    server = MongoServer(tmp_path_factory.mktemp("protected"), password=PASSWORD)
    with server, server.client() as client:
        role = {"role": "read", "db": "elsewhere"}
        client.admin.command("createUser", "guest", pwd=PASSWORD, roles=[role])
        yield server


@asynccontextmanager
async def services_of(
    api_env: Mapping[str, str], server: MongoServer, user: str, password: str
) -> AsyncIterator[Services]:
    login = f"{user}:{password}@"
    url = server.database_url("shop").replace(f"kernapay:{PASSWORD}@", login)
    services = Services(settings_from(api_env, mongodb_url=url))
    services.mongo.connect()
    try:
        yield services
    finally:
        await services.close()


async def test_a_user_without_rights_is_told_which_role_it_needs(
    api_env: Mapping[str, str], protected: MongoServer
) -> None:
    async with services_of(api_env, protected, "guest", PASSWORD) as services:
        assert "the role readWrite" in str(await services.schema_watch.check())


async def test_a_wrong_password_says_nothing_about_the_indexes(
    api_env: Mapping[str, str], protected: MongoServer
) -> None:
    async with services_of(api_env, protected, "guest", "mistyped") as services:
        with pytest.raises(Unavailable, match="refuses the user or the password"):
            await services.schema_watch.check()


async def test_a_wrong_password_is_told_at_the_start_and_ends_nothing(
    api_env: Mapping[str, str], protected: MongoServer
) -> None:
    async with services_of(api_env, protected, "guest", "mistyped") as services:
        with pytest.raises(Unavailable, match="refuses the user or the password") as caught:
            await services.mongo.ping()
        assert "mistyped" not in str(caught.value)
        await services.report_stores()


async def test_an_error_of_another_kind_changes_no_answer(
    api_env: Mapping[str, str], protected: MongoServer
) -> None:
    """Such as a collection that is a view."""
    async with services_of(api_env, protected, "kernapay", PASSWORD) as services:
        await asyncio.to_thread(Migrator(database()).up)
        assert await services.schema_watch.check() is None
        await asyncio.to_thread(database().drop_collection, "payments")
        await asyncio.to_thread(database().command, "create", "payments", viewOn="elsewhere")

        async def cannot_tell() -> bool:
            try:
                await services.schema_watch.check()
            except Unavailable as error:
                return "cannot list the indexes" in str(error.detail)
            return False

        await until(cannot_tell)
        assert services.schema_watch.is_ready
