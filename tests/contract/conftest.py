import json
import signal
import sys
from collections.abc import Iterator

import pytest

from kernapay.devstack.ports import free_port
from kernapay.devstack.process import Process
from kernapay.devstack.state import FILE, find_stack
from tests.aliases import Json
from tests.command_line import run_command
from tests.contract.running import DevStack
from tests.stack import bare_environment


@pytest.fixture(scope="session")
def document() -> Json:
    """The OpenAPI document that `kernapay openapi` writes."""
    written = run_command("openapi")
    assert written.returncode == 0, written.stderr
    found: Json = json.loads(written.stdout)
    return found


@pytest.fixture(scope="package")
def dev_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevStack]:
    """A `kernapay dev` that ends with the tests of this folder: its seven processes are never idle."""
    home = tmp_path_factory.mktemp("dev")
    names = ("--port", "--sandbox-port", "--mongo-port", "--redis-port")
    ports = [word for name in names for word in (name, str(free_port()))]
    stack = Process(
        "dev",
        home,
        (sys.executable, "-m", "kernapay", "dev", "--data", str(home), *ports),
        {**bare_environment(), "SALT_ROUNDS": "4"},
        (home / FILE).exists,
        death_signal=signal.SIGTERM,
    )
    stack.launch()
    try:
        stack.wait_ready(90)
        state = find_stack(home)
        assert state.sandbox is not None
        yield DevStack(home, state.api, state.sandbox)
    finally:
        stack.stop()
