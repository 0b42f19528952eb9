from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from litestar import Litestar
from pymongo.database import Database

from kernapay.security.principal import Role
from tests.actors import Actor, People
from tests.attacks.prizes import Pair, set_up
from tests.attacks.surface import Operation, operations
from tests.house.conftest import application
from tests.stack import Api, Sandbox, Server

__all__ = ["application"]

Store = Database[dict[str, Any]]


@pytest.fixture(scope="module")
def document(api_server: Api) -> dict[str, Any]:
    """What the service says of itself."""
    return api_server.client.get("/docs/openapi.json").json()


@pytest.fixture(scope="module")
def surface(document: dict[str, Any], application: Litestar) -> list[Operation]:
    """Every operation there is to attack."""
    return list(operations(document, application))


@pytest.fixture(scope="module")
def crowd(api_server: Api, store: Store) -> Mapping[Role, Actor]:
    """One person of each role."""
    people = People(api_server.client, store)
    return {role: people.new(role) for role in Role}


@pytest.fixture(scope="module")
def pairs(api_server: Api, store: Store, _sandbox_server: Server) -> Iterator[dict[Role, Pair]]:
    """Two people of each role, and what belongs to the first of them."""
    api, sandbox = api_server.client, Sandbox(_sandbox_server.url)
    people = People(api, store)
    yield {role: set_up(role, people, store, sandbox, api) for role in Role}
    sandbox.client.close()
