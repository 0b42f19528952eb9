from pathlib import Path

import pytest

from tests.actors import People
from tests.aliases import Store
from tests.checkout import ROOT
from tests.house.roles import World, set_up_world
from tests.stack import Api, Sandbox, SandboxServer


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return ROOT


@pytest.fixture(scope="module")
def world(api_server: Api, store: Store, sandbox_server: SandboxServer) -> World:
    """One caller of each kind."""
    with Sandbox(sandbox_server.url) as sandbox:
        return set_up_world(People(api_server.client, store), sandbox)
