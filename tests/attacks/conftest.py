from collections.abc import Iterator, Mapping

import pytest
from litestar import Litestar

from kernapay.security.principal import Role
from tests.actors import Actor, People
from tests.aliases import Json, Store
from tests.attacks.pairs import Pair, set_up
from tests.attacks.surface import Operation, operations
from tests.house.roles import World, set_up_world
from tests.stack import Api, Sandbox, SandboxServer


@pytest.fixture(scope="session")
def surface(served_document: Json, application: Litestar) -> list[Operation]:
    """Every operation there is to attack."""
    return list(operations(served_document, application))


@pytest.fixture(scope="module")
def crowd(api_server: Api, store: Store) -> Mapping[Role, Actor]:
    """One person of each role."""
    people = People(api_server.client, store)
    return {role: people.new(role) for role in Role}


@pytest.fixture(scope="module")
def pairs(
    api_server: Api, store: Store, sandbox_server: SandboxServer
) -> Iterator[dict[Role, Pair]]:
    """Two people of each role, and what belongs to the first of them."""
    people = People(api_server.client, store)
    with Sandbox(sandbox_server.url) as sandbox:
        yield {role: set_up(role, people, store, sandbox) for role in Role}


@pytest.fixture(scope="module")
def world(api_server: Api, store: Store, sandbox_server: SandboxServer) -> World:
    """One caller of each kind."""
    with Sandbox(sandbox_server.url) as sandbox:
        return set_up_world(People(api_server.client, store), sandbox)
