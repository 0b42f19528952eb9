"""What an earlier version has written, and the service of today over it."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from kernapay.core.clock import now
from tests.aliases import Store
from tests.clusters.nodes import RedisNode
from tests.command_line import run_command
from tests.environment import api_environment
from tests.stack import Api, Sandbox, SandboxServer, Worker, end
from tests.upgrades.dumps import Dump


class Site:
    """A database, a cache and a sandbox of its own, without a service."""

    def __init__(self, home: Path, url: str, store: Store, closing: ExitStack) -> None:
        self._home = home
        self._url = url
        self.store = store
        self._closing = closing
        redis = RedisNode(home / "redis")
        closing.callback(redis.kill)
        self.redis_url = redis.start().url
        self.env: dict[str, str] = {}

    def restore(self, dump: Dump) -> None:
        """Fill the database, and start the sandbox with the books that belong to it."""
        books, written = self._home / "sandbox.sqlite", now()
        dump.restore(self.store, written)
        dump.restore_books(books, written)
        self.start_sandbox(SANDBOX_DATA=str(books))

    def start_sandbox(self, **env: str) -> None:
        server = self._closing.enter_context(SandboxServer(self._home, **env))
        self.sandbox = self._closing.enter_context(Sandbox(server.url))
        self.env = api_environment(self._url, self.redis_url, server.url, self._home)

    def kernapay(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return run_command(*arguments, env=self.env, cwd=self._home)

    def start_api(self) -> Api:
        return self._closing.enter_context(Api(self._home, self.env))

    def start_worker(self) -> Worker:
        worker = Worker(self._home / "worker", self.env)
        self._closing.callback(end, worker)
        return worker.start()


@pytest.fixture
def site(empty_database_url: str, empty_database: Store, tmp_path: Path) -> Iterator[Site]:
    with ExitStack() as closing:
        yield Site(tmp_path, empty_database_url, empty_database, closing)
