"""The development stack: its processes are started in order and stopped in reverse order."""

import os
import shlex
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Final, NoReturn
from urllib.parse import urlsplit

from rich.console import Console

from kernapay.devstack.accounts import DEMO_PASSWORD
from kernapay.devstack.example_data import EXAMPLE_SETTINGS, ExampleData
from kernapay.devstack.pidfile import InUse, PidFile
from kernapay.devstack.plan import DATABASE, Plan, Ports, make_plan
from kernapay.devstack.process import Process, ServerError
from kernapay.devstack.state import (
    LOCK,
    NoStack,
    StackState,
    find_stack,
    remove,
    write_environment,
)

# Seconds for one step on a slow machine.
PATIENCE: Final = 60.0
# Several hundred payments take less than a minute, a few thousand some more.
EXAMPLE_PATIENCE: Final = 1800.0
PORTS: Final = Ports()
PROGRAM: Final = (sys.executable, "-m", "kernapay")


class Interrupted(Exception):
    """`interrupt()` was called."""


class DevStack:
    """The processes of a development stack, with all their data in one directory."""

    def __init__(
        self,
        home: Path,
        environ: Mapping[str, str],
        console: Console,
        ports: Ports = PORTS,
        program: Sequence[str] = PROGRAM,
        example_payments: int | None = None,
    ) -> None:
        """With `example_payments`, fill an empty database with this many payments and their example data."""
        self.home = home.resolve()
        self._environ = environ
        self._console = console
        self._ports = ports
        self._program = program
        self._processes: list[Process] = []
        self._lock = PidFile(self.home / LOCK)
        self._example_payments = example_payments
        self._example_data = ExampleData(self.home)
        self._ending = threading.Event()
        self.demo_password: str | None = None
        """The password of the demo accounts, once the stack has started with a database of its own."""

    def start(self) -> StackState:
        """Start everything and return the addresses.

        Raises ServerError if a part does not start, MissingBinary if a server is not installed, and Interrupted
        after `interrupt()`.
        """
        self._lock_home()
        plan = self._plan()
        for note in plan.notes:
            self._say(note)
        databases = [self._launch(server) for server in (plan.mongo, plan.redis) if server]
        # The sandbox needs no database, so start it at the same time.
        sandbox = [self._launch(self._sandbox(plan, plan.sandbox))] if plan.sandbox else []
        self._wait(databases)
        self._run(plan, "migrate", "up")
        if self._example_payments is not None:
            self._wait(sandbox)
            self._make_example_data(plan, self._example_payments)
        services = [self._launch(service) for service in self._services(plan)]
        if plan.mongo and self._example_payments is None:
            self._run(plan, "seed")
        self._wait(sandbox + services)
        write_environment(self.home, plan.chosen)
        self.demo_password = plan.env[DEMO_PASSWORD] if plan.mongo else None
        state = self._state(plan)
        state.write(self.home)
        return state

    def _plan(self) -> Plan:
        """Return the plan. Raises as `start` does."""
        if self._example_data.is_incomplete:
            raise ServerError(
                f"An earlier start ended while it made the example data, so what is in {self.home} is incomplete. "
                f"Fix: rm -r {shlex.quote(str(self.home))}, then start again."
            )
        has_example_data = self._example_payments is not None or self._example_data.is_there
        defaults = EXAMPLE_SETTINGS if has_example_data else {}
        plan = make_plan(self.home, self._environ, self._ports, defaults)
        if self._example_payments is not None and not (plan.mongo and plan.sandbox):
            raise ServerError(
                "Example data needs the stack's own MongoDB and sandbox. "
                "Fix: unset MONGODB_URL, RAZORPAY_KEY_ID and RAZORPAY_KEY_SECRET."
            )
        return plan

    def _make_example_data(self, plan: Plan, count: int) -> None:
        """Run the process that simulates two weeks, before the API starts. Raises ServerError, Interrupted."""
        if self._example_data.is_there:
            self._say("The example data is there already.")
            self._run(plan, "seed")
            return
        self._example_data.begin()
        seed = self._python(plan, "seed", ["seed", "--example-payments", str(count)])
        with self._step("example data") as show:

            def check() -> None:
                self._check()
                show(seed.tail(1))

            seed.run(EXAMPLE_PATIENCE, check)
        self._say(seed.tail(1))
        self._example_data.end()

    def watch(self) -> NoReturn:
        """Wait until a process ends or `interrupt()` is called: raise ServerError or Interrupted."""
        while True:
            self._check()
            self._ending.wait(0.2)

    def interrupt(self) -> None:
        """Let `start` or `watch` raise Interrupted. A signal handler may call this."""
        self._ending.set()

    def stop(self) -> None:
        """Stop every process in reverse order and unlock the directory."""
        for process in reversed(self._processes):
            was_running = process.is_running
            process.stop(timeout=10)
            # The terminal may be closed. Stop the other processes all the same.
            with suppress(OSError, SystemExit):
                self._say(f"{process.name:<8} {'stopped' if was_running else 'had ended before'}")
        if self._processes:
            remove(self.home)
        self._processes.clear()
        self._lock.release()

    def _services(self, plan: Plan) -> list[Process]:
        port = str(urlsplit(plan.api).port)
        paths = ("/health/live", "/health/ready")
        return [
            self._python(plan, "api", ["serve", "--port", port], [plan.api + p for p in paths]),
            self._python(plan, "worker", ["worker"]),
        ]

    def _sandbox(self, plan: Plan, url: str) -> Process:
        port, data = str(urlsplit(url).port), str(self.home / "sandbox.sqlite")
        arguments = ["sandbox", "--port", port, "--data", data]
        return self._python(plan, "sandbox", arguments, [f"{url}/_sandbox/health"])

    def _python(
        self, plan: Plan, name: str, arguments: Sequence[str], ready: Sequence[str] = ()
    ) -> Process:
        return Process(
            name,
            self.home,
            (*self._program, *arguments),
            plan.env,
            lambda: all(answers(url) for url in ready),
            # Not SIGKILL: the process must end its own workers.
            death_signal=signal.SIGTERM,
        )

    def _launch(self, process: Process) -> Process:
        process.launch()
        self._processes.append(process)
        return process

    def _wait(self, processes: Sequence[Process]) -> None:
        for process in processes:
            with self._step(process.name):
                process.wait_ready(PATIENCE, self._check)

    def _run(self, plan: Plan, *arguments: str) -> None:
        with self._step(arguments[0]):
            self._python(plan, arguments[0], arguments).run(PATIENCE, self._check)

    def _check(self) -> None:
        if self._ending.is_set():
            raise Interrupted
        for process in self._processes:
            if (code := process.exit_code) is not None:
                raise ServerError(process.explain(code))

    @contextmanager
    def _step(self, name: str) -> Iterator[Callable[[str], None]]:
        """Say that a step runs and when it is done. Yield what shows how far it is."""
        started_at = time.monotonic()
        with self._console.status(f"Waiting for {name}") as status:
            yield lambda text: status.update(text or f"Waiting for {name}")
        self._say(f"{name:<8} done after {time.monotonic() - started_at:.1f} s")

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _lock_home(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        # It contains secrets, and is often inside a checkout.
        self.home.chmod(0o700)
        (self.home / ".gitignore").write_text("*\n")
        try:
            self._lock.acquire()
        except InUse:
            raise ServerError(self._describe_other()) from None
        self._lock.write(os.getpid(), sys.argv)
        remove(self.home)

    def _describe_other(self) -> str:
        try:
            other = find_stack(self.home)
        except NoStack:
            return f"Another stack on {self.home} is starting or ending. Fix: repeat the command when it has ended."
        return (
            f"A stack on {self.home} is running already (process {other.pid}), with the API at {other.api}. "
            "Fix: stop it with Ctrl-C in its terminal, or choose another directory with --data."
        )

    def _state(self, plan: Plan) -> StackState:
        urls = {}
        if plan.mongo:
            urls["mongod"] = f"mongodb://{plan.mongo.address}/{DATABASE}"
        if plan.redis:
            urls["redis"] = f"redis://{plan.redis.address}/0"
        pids = {process.name: process.pid or 0 for process in self._processes}
        key_id = plan.env["RAZORPAY_KEY_ID"]
        return StackState(os.getpid(), plan.api, plan.sandbox, key_id, pids, urls)


def answers(url: str) -> bool:
    """Return whether a GET of the URL answers 200."""
    parts = urlsplit(url)
    # Not urllib.request: it would use a proxy from the environment.
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=5)
    try:
        connection.request("GET", parts.path)
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
