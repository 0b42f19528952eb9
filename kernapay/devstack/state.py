"""The state of a running stack, stored for other commands on the same data directory."""

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
    """No stack is running on this data directory."""


@dataclass(frozen=True)
class StackState:
    """Addresses and pids. It contains no secrets, and nothing about databases that the stack did not start."""

    pid: int
    api: str
    sandbox: str | None  # None with the real Razorpay
    key_id: str  # public: pages hand it to Checkout
    pids: Mapping[str, int]
    urls: Mapping[str, str]

    def write(self, home: Path) -> None:
        write_private(home / FILE, json.dumps(asdict(self), indent=2))


def write_environment(home: Path, variables: Mapping[str, str]) -> None:
    """Write the settings that the stack chose, with secrets, as a shell script: `. .kernapay/env`."""
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in sorted(variables.items())]
    write_private(home / ENVIRONMENT, "".join(lines))


def remove(home: Path) -> None:
    """Delete the state of a stack that has ended."""
    for name in (FILE, ENVIRONMENT):
        (home / name).unlink(missing_ok=True)


def find_stack(home: Path = HOME) -> StackState:
    """Return the stack that is running on the data directory. Raises NoStack if there is none."""
    absent = f"No stack is running on {home}. Fix: kernapay dev"
    try:
        text = (home / FILE).read_text()
    except FileNotFoundError:
        raise NoStack(absent) from None
    # After a kill -9 the file remains, but the lock is released.
    lock = PidFile(home / LOCK)
    try:
        lock.acquire()
    except InUse:
        return StackState(**json.loads(text))
    lock.release()
    raise NoStack(absent)
