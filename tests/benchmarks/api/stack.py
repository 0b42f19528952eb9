"""What a benchmark starts: stores, sandbox, the API as production has it, and the limits."""

import os
import re
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from kernapay.config.settings import Settings
from kernapay.config.types import parse_rate
from kernapay.devstack.ports import free_port
from kernapay.devstack.process import Process
from kernapay.devstack.servers import MongoServer, RedisServer
from kernapay.devstack.stack import answers
from tests.benchmarks.api import machine
from tests.benchmarks.api.http_client import HOST, raw_request, send_all
from tests.databases import open_migrated_store
from tests.stack import METRICS_TOKEN, STRONG_KEY_ID, STRONG_KEY_SECRET, bare_environment

WEBHOOK_SECRET: Final = "Vx7LcR4bNs9KdW1yHf6PgJ3a"
_JWT_SECRET: Final = "q8Zt2mVx7LcR4bNs9KdW1yHf6PgJ3aTe"
_WIDE: Final = 10**9
_SAMPLE: Final = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")
_REQUESTS: Final = "kernapay_http_request_seconds_count"
_READY_SECONDS: Final = 60


def wide_limits() -> dict[str, str]:
    """Return every rate limit with its windows, so that it is counted, but with numbers that nobody reaches."""
    wide = {}
    for name, field in Settings.model_fields.items():
        if name.startswith("rate_limit_"):
            windows = (
                f"{_WIDE}/{each.multiples} {each.GRANULARITY.name}" for each in field.default
            )
            wide[name.upper()] = ";".join(windows)
            parse_rate(wide[name.upper()])
    return wide


def production(mongodb_url: str, redis_url: str, gateway_url: str, home: Path) -> dict[str, str]:
    """Return the environment of an API as production has it. A test key may belong to the sandbox there too."""
    return {
        **bare_environment(),
        "APP_ENV": "production",
        "LOG_LEVEL": "INFO",
        "MONGODB_URL": mongodb_url,
        "REDIS_URL": redis_url,
        "JWT_SECRET": _JWT_SECRET,
        "RAZORPAY_BASE_URL": gateway_url,
        "RAZORPAY_KEY_ID": STRONG_KEY_ID,
        "RAZORPAY_KEY_SECRET": STRONG_KEY_SECRET,
        "RAZORPAY_WEBHOOK_SECRET": WEBHOOK_SECRET,
        "METRICS_TOKEN": METRICS_TOKEN,
        "FILES_DIR": str(home / "files"),
        **wide_limits(),
    }


Metrics = dict[tuple[str, str], float]
"""The samples by their name and their labels as text."""


class Counts(NamedTuple):
    """How many requests the API has answered with a status, with others, and how many had no route."""

    right: float
    wrong: float
    unmatched: float

    def since(self, before: "Counts") -> "Counts":
        return Counts(*(now - then for now, then in zip(self, before, strict=True)))


def count_answers(metrics: Metrics, status: int) -> Counts:
    """Count all requests besides those of /metrics."""
    right = wrong = unmatched = 0.0
    for (name, labels), value in metrics.items():
        if name != _REQUESTS or 'route="/metrics"' in labels:
            continue
        if 'route="unmatched"' in labels:
            unmatched += value
        elif f'status="{status}"' in labels:
            right += value
        else:
            wrong += value
    return Counts(right, wrong, unmatched)


class Program(Process):
    """A Python module that listens on a port."""

    def __init__(
        self,
        name: str,
        home: Path,
        arguments: list[str],
        port: int,
        env: Mapping[str, str],
        ready: str,
    ) -> None:
        self.port = port
        self.url = f"http://{HOST}:{port}"
        command = (sys.executable, "-m", *arguments, str(port))
        super().__init__(name, home, command, env, lambda: answers(self.url + ready))
        self.family: list[int] = []
        """Its processes, once it has started."""

    def start_on(self, cores: Iterable[int]) -> None:
        """Wait until it is ready, and keep it and its workers on these cores."""
        self.wait_ready(_READY_SECONDS)
        assert self.pid is not None
        self.family = machine.family(self.pid)
        machine.pin(self.family, cores)


class Servers:
    """The running servers: the stores, the sandbox, and the API, which has a core of its own."""

    def __init__(
        self,
        home: Path,
        stack: ExitStack,
        mongo: MongoServer | None = None,
        *,
        cores: machine.Cores,
    ) -> None:
        # Everything that is started from here on inherits it, and the measured servers are moved.
        os.sched_setaffinity(0, cores.others)
        self.cores = cores
        self.mongo = stack.enter_context(mongo or MongoServer(home / "mongo"))
        self.redis = stack.enter_context(RedisServer(home / "redis"))
        url = self.mongo.database_url("kernapay")
        self.store = stack.enter_context(open_migrated_store(url))
        self.sandbox = self._sandbox(home)
        self.env = production(url, self.redis.url, self.sandbox.url, home)
        self.api = self._api(home, free_port())
        self._start(stack, self.sandbox, self.cores.others)
        self._start(stack, self.api, self.cores.server)

    @staticmethod
    def _start(stack: ExitStack, program: Program, cores: Iterable[int]) -> None:
        program.launch()
        stack.callback(program.kill)
        program.start_on(cores)

    def _sandbox(self, home: Path) -> Program:
        env = {**bare_environment(), "SANDBOX_KEYS": f"{STRONG_KEY_ID}:{STRONG_KEY_SECRET}"}
        arguments = ["kernapay.sandbox", "--port"]
        return Program("sandbox", home, arguments, free_port(), env, "/_sandbox/health")

    def _api(self, home: Path, port: int) -> Program:
        arguments = ["kernapay", "serve", "--workers", "1", "--port"]
        return Program("api", home, arguments, port, self.env, "/health/live")

    def restart_api(self) -> None:
        """Start the API anew, on the same port."""
        self.api.stop()
        self.api.launch()
        self.api.start_on(self.cores.server)

    def cpu_seconds(self) -> float:
        """Return the processor time of these servers together."""
        stores = [pid for pid in (self.mongo.pid, self.redis.pid) if pid is not None]
        families = [pid for program in self.programs() for pid in program.family]
        return machine.cpu_seconds([*stores, *families])

    def programs(self) -> tuple[Program, ...]:
        """Return the servers that are programs in Python."""
        return (self.sandbox, self.api)

    def metrics(self) -> Metrics:
        """Return the API's metrics by name and labels."""
        request = raw_request("GET", "/metrics", self.api.port, token=METRICS_TOKEN)
        (answer,) = send_all(self.api.port, [request])
        assert answer.status == 200, answer.body
        samples = (_SAMPLE.match(line) for line in answer.body.decode().splitlines())
        return {(s[1], s[2] or ""): float(s[3]) for s in samples if s is not None}


class Stack(Servers):
    """The servers, and the limits on the core of the API."""

    def __init__(self, home: Path, stack: ExitStack) -> None:
        super().__init__(home, stack, cores=machine.split_cores())
        arguments = ["tests.benchmarks.api.limits"]
        self.limits = Program("limits", home, arguments, free_port(), self.env, "/answers")
        self._start(stack, self.limits, self.cores.server)

    def programs(self) -> tuple[Program, ...]:
        return (*super().programs(), self.limits)

    def limit_answers(self) -> int:
        (answer,) = send_all(self.limits.port, [raw_request("GET", "/answers", self.limits.port)])
        return int(answer.body)


class Watch:
    """How many cores others than the benchmark have used on average, since it was made."""

    def __init__(self, *servers: Servers) -> None:
        self._servers = servers
        self._began = time.monotonic()
        self._before = self._foreign_seconds()

    def others(self) -> float:
        used = self._foreign_seconds() - self._before
        return max(0.0, used / (time.monotonic() - self._began))

    def _foreign_seconds(self) -> float:
        servers = sum(each.cpu_seconds() for each in self._servers)
        return machine.busy_seconds() - machine.own_seconds() - servers


@contextmanager
def running_stack(home: Path) -> Iterator[Stack]:
    """Start everything, and end it with the block."""
    with ExitStack() as stack:
        yield Stack(home, stack)
