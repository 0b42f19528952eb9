"""A plugin of pytest for mutation runs: which tests reach what, in which order they run, and on which servers.

mutmut counts the functions that a test calls in its own process. A test that talks to other processes of the service
may reach any. For each mutant, mutmut forks a process that has collected the tests: it starts the servers for all.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from shutil import rmtree
from typing import Final

import msgspec
import pytest
from mutmut.configuration import config
from mutmut.stats import record_trampoline_hit

from tests.preloaded import preloaded
from tests.servers import Kept, start_servers
from tests.stack import MUTANT

_SERVERS: Final = "servers"
_keeping: Final = ExitStack()
_COUNTING: Final = "stats"
_TALKING: Final = {"api_server", "start_api", "start_worker", "run_kernapay", "shop"}


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    if os.environ.get(MUTANT) == _COUNTING and _TALKING & set(getattr(item, "fixturenames", ())):
        for function in _mutated_functions():
            record_trampoline_hit(function)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests in the order in which their files are named: the quick ones first."""
    files = [chosen.partition("::")[0] for chosen in config().pytest_add_cli_args_test_selection]

    def place(item: pytest.Item) -> tuple[int, int, str]:
        path, line, _ = item.location
        rank = next((n for n, file in enumerate(files) if path.startswith(file)), len(files))
        return rank, line or 0, item.nodeid

    items.sort(key=place)


def pytest_collection_finish(session: pytest.Session) -> None:
    # The parent of all mutants only collects, and tries none itself.
    if session.config.option.collectonly and not os.environ.get(MUTANT):
        # Beside mutmut's copy. Each run makes them anew.
        home = Path.cwd().parent / _SERVERS
        rmtree(home, ignore_errors=True)
        Kept.servers = _keeping.enter_context(start_servers(home))
        preloaded()


def _mutated_functions() -> Iterator[str]:
    # As mutmut stores them beside each mutated module, in the folder in which the tests run.
    for path in Path("kernapay").rglob("*.py.meta"):
        module = ".".join(path.with_suffix("").with_suffix("").parts)
        for function in msgspec.json.decode(path.read_bytes())["hash_by_function_name"]:
            yield f"{module}.{function}"
