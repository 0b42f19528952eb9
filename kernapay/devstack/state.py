"""Where a running stack is, for other commands on the same data directory."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from kernapay.devstack.credentials import write_private
from kernapay.devstack.pidfile import InUse, PidFile

HOME = Path(".kernapay")
FILE = "stack.json"
ENVIRONMENT = "env"
LOCK = "stack.lock"


class NoStack(RuntimeError):
    """No stack is ready on this data directory."""


@dataclass(frozen=True)
class StackState:
    """Addresses and process ids; no secrets, and nothing about servers that are not ours."""

    pid: int
    api: str
    sandbox: str | None  # None: the real Razorpay
    pids: Mapping[str, int]
    urls: Mapping[str, str]

    def write(self, home: Path) -> None:
        write_private(home / FILE, json.dumps(asdict(self), indent=2))


def write_environment(home: Path, variables: Mapping[str, str]) -> None:
    """Write the settings that a stack chose, secrets among them, for shells: `. .kernapay/env`."""
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in sorted(variables.items())]
    write_private(home / ENVIRONMENT, "".join(lines))


def remove(home: Path) -> None:
    """Take away what says where the stack is: it has ended."""
    for name in (FILE, ENVIRONMENT):
        (home / name).unlink(missing_ok=True)


def find_stack(home: Path = HOME) -> StackState:
    """Return the stack that is ready on the data directory; raise NoStack when none is."""
    absent = f"No stack is ready on {home}. Start one first: kernapay dev"
    try:
        text = (home / FILE).read_text()
    except FileNotFoundError:
        raise NoStack(absent) from None
    # After a kill -9 the file is still there; the lock is not.
    lock = PidFile(home / LOCK)
    try:
        lock.acquire()
    except InUse:
        return StackState(**json.loads(text))
    lock.release()
    raise NoStack(absent)
