"""KernaPay as it is deployed: several processes over stores that have several nodes."""

from contextlib import ExitStack
from pathlib import Path
from typing import Self

from tests.actors import People
from tests.aliases import Json, json_of
from tests.command_line import run_command
from tests.databases import open_migrated_store
from tests.environment import api_environment
from tests.stack import WORKER_BUGS, Api, Sandbox, SandboxServer, Server, Worker


class Service:
    """API processes, a worker and a gateway of their own; events are delivered to the last process."""

    def __init__(
        self,
        home: Path,
        mongodb_url: str,
        redis_urls: list[str],
        *,
        worker: bool = True,
        **env: str,
    ) -> None:
        self._closing = ExitStack()
        self.store = self._closing.enter_context(open_migrated_store(mongodb_url))
        gateway = SandboxServer(home, SANDBOX_WEBHOOK_BACKOFF="1")
        self.sandbox = self._closing.enter_context(Sandbox(gateway.url))
        self.env = api_environment(mongodb_url, redis_urls[0], gateway.url, home, **env)
        self.apis = [Api(home, {**self.env, "REDIS_URL": url}) for url in redis_urls]
        self._workers = [Worker(home / "worker", self.env)] if worker else []
        self._servers: list[Server] = [gateway, *self.apis]

    def __enter__(self) -> Self:
        for server in self._servers:
            self._closing.callback(server.kill)
        for process in self._workers:
            self._closing.callback(process.kill)
        try:
            for server in self._servers:
                server.launch()
            for process in self._workers:
                process.launch()
            for server in self._servers:
                server.wait()
            for process in self._workers:
                process.wait_ready(60)
            self.sandbox.deliver_to(self.apis[-1].url)
        except BaseException:
            self._closing.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._closing.close()
        if kind is None:
            for event in ("unhandled_error", "cache_watch_broken", *WORKER_BUGS):
                found = [line for api in self.apis for line in api.log_entries(event)]
                assert not found, found[0].get("exception")
            for process in self._workers:
                log = process.log.read_text()
                assert [bug for bug in WORKER_BUGS if bug in log] == []

    def people(self, api: int = 0) -> People:
        return People(self.apis[api].client, self.store)

    def ready(self) -> list[Json]:
        return [json_of(api.client.get("/health/ready")) for api in self.apis]

    def all_up(self) -> bool:
        return all((r["mongodb"], r["redis"]) == ("up", "up") for r in self.ready())

    def assert_books_agree(self) -> None:
        audit = run_command("audit", env=self.env)
        assert audit.returncode == 0, audit.stdout + audit.stderr
        assert "KernaPay and the gateway agree." in audit.stdout
