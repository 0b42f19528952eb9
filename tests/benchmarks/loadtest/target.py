"""The stack under load: one that is started for it, or one that runs already."""

import os
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from rich.console import Console

from kernapay.devstack.accounts import DEMO_ACCOUNTS, DEMO_PASSWORD
from kernapay.devstack.plan import Ports
from kernapay.devstack.ports import free_port
from kernapay.devstack.stack import DevStack
from kernapay.devstack.state import ENVIRONMENT, StackState, find_stack
from tests.benchmarks.api import machine
from tests.stack import bare_environment

# Nobody waits for a call, and everybody calls from one address.
_OWN: Final = {"RATE_LIMITS": "false"}


class NoSandbox(Exception):
    """The stack uses the real Razorpay, where nobody can pretend to pay."""


@dataclass(frozen=True)
class Target:
    """Where to send the load. `env` are the settings of the stack, for its commands."""

    api: int
    sandbox: int
    env: Mapping[str, str]
    pids: Mapping[str, int]
    is_limited: bool
    """Whether the stack may refuse calls because there are too many."""

    @property
    def admin(self) -> tuple[str, str]:
        """The address and the password of an administrator."""
        return DEMO_ACCOUNTS["ADMIN"], self.env[DEMO_PASSWORD]


class MemoryReader:
    """Reads the resident megabytes of each program: of the largest of its processes."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = pids
        self._families: dict[str, list[int]] = {}

    def read(self) -> dict[str, float]:
        try:
            return self._read()
        except (FileNotFoundError, ProcessLookupError):
            # A worker of the API was replaced by another one.
            self._families = {}
            return self._read()

    def _read(self) -> dict[str, float]:
        if not self._families:
            self._families = {name: machine.family(pid) for name, pid in self._pids.items()}
        return {name: machine.resident_megabytes(each) for name, each in self._families.items()}


@contextmanager
def own_target(home: Path) -> Iterator[Target]:
    """Start a stack, and end it with the block. Raises ServerError, MissingBinary."""
    ports = Ports(*(free_port() for _ in range(4)))
    environ = {**bare_environment(), **_OWN}
    stack = DevStack(home, environ, Console(stderr=True, highlight=False), ports)
    try:
        state = stack.start()
        yield _target(stack.home, state, environ)
    finally:
        stack.stop()


def running_target(home: Path) -> Target:
    """Return the stack that runs on a data directory. Raises NoStack, NoSandbox."""
    return _target(home, find_stack(home), dict(os.environ))


def _target(home: Path, state: StackState, environ: Mapping[str, str]) -> Target:
    if state.sandbox is None:
        raise NoSandbox("This stack uses the real Razorpay, where nobody can pretend to pay.")
    env = {**environ, **_read_environment(home / ENVIRONMENT)}
    is_limited = env.get("RATE_LIMITS", "true").lower() not in ("false", "0", "no", "off")
    return Target(_port(state.api), _port(state.sandbox), env, state.pids, is_limited)


def _read_environment(path: Path) -> dict[str, str]:
    """Return the variables of a shell script of exports."""
    words = shlex.split(path.read_text())
    return dict(word.split("=", 1) for word in words if word != "export")


def _port(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None
    return port
