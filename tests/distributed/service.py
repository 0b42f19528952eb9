"""KernaPay as it is deployed: several processes over stores that have several nodes."""

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from kernapay.storage.migrations import Migrator
from kernapay.storage.mongo import open_database
from tests.actors import People
from tests.stack import (
    JWT_SECRET,
    KEY_ID,
    KEY_SECRET,
    WEBHOOK_SECRET,
    Api,
    Sandbox,
    Server,
    Worker,
    bare_environment,
)


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
        self.client, self.store = open_database(mongodb_url)
        Migrator(self.store).up()
        gateway = Server(
            "sandbox",
            home,
            ["kernapay.sandbox"],
            {"SANDBOX_KEYS": f"{KEY_ID}:{KEY_SECRET}", "SANDBOX_WEBHOOK_BACKOFF": "1"},
            "/_sandbox/health",
        )
        self.sandbox = Sandbox(gateway.url)
        self.env = {
            "APP_ENV": "test",
            "MONGODB_URL": mongodb_url,
            "REDIS_URL": redis_urls[0],
            "JWT_SECRET": JWT_SECRET,
            "SALT_ROUNDS": "4",
            "RAZORPAY_KEY_ID": KEY_ID,
            "RAZORPAY_KEY_SECRET": KEY_SECRET,
            "RAZORPAY_WEBHOOK_SECRET": WEBHOOK_SECRET,
            "RAZORPAY_BASE_URL": gateway.url,
            "RAZORPAY_TIMEOUT": "2s",
            "RATE_LIMITS": "false",
            **env,
        }
        self.apis = [Api(home, {**self.env, "REDIS_URL": url}) for url in redis_urls]
        self._workers = [Worker(home / "worker", self.env)] if worker else []
        self._servers = [gateway, *self.apis]

    def __enter__(self) -> Self:
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
            self._stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._stop()
        if kind is None:
            for event in ("unhandled_error", "cache_watch_broken", "sweep_broken"):
                found = [line for api in self.apis for line in api.log_entries(event)]
                assert not found, found[0].get("exception")
            for process in self._workers:
                assert "sweep_broken" not in process.log.read_text()

    def _stop(self) -> None:
        with ExitStack() as closing:
            closing.callback(self.client.close)
            closing.callback(self.sandbox.client.close)
            for server in self._servers:
                closing.callback(server.kill)
            for process in self._workers:
                closing.callback(process.kill)

    def people(self, api: int = 0) -> People:
        return People(self.apis[api].client, self.store)

    def ready(self) -> list[dict[str, Any]]:
        return [api.client.get("/health/ready").json() for api in self.apis]

    def all_up(self) -> bool:
        return all((r["mongodb"], r["redis"]) == ("up", "up") for r in self.ready())

    def audit(self) -> subprocess.CompletedProcess[str]:
        """Run `kernapay audit`."""
        return subprocess.run(
            [sys.executable, "-m", "kernapay", "audit"],
            env={**bare_environment(), **self.env},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
