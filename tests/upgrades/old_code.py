"""An earlier version of the service, out of Git's history, with the releases of its time."""

import subprocess
import sys
import tarfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Final

from kernapay.devstack.ports import HOST, free_port
from kernapay.devstack.process import Process
from kernapay.devstack.stack import answers
from tests.checkout import ROOT
from tests.stack import bare_environment

_CONSTRAINTS: Final = Path(".ci/constraints.txt")


def has_history(commit: str) -> bool:
    """Return whether this checkout knows the commit: a shallow clone knows only the last one."""
    asked = subprocess.run(
        ["git", "cat-file", "-e", f"{commit}^{{tree}}"], cwd=ROOT, capture_output=True, check=False
    )
    return asked.returncode == 0


def unpack(commit: str, home: Path) -> None:
    """Write the files of a commit into a folder."""
    archive = subprocess.run(
        ["git", "archive", commit], cwd=ROOT, capture_output=True, check=True
    ).stdout
    with tarfile.open(fileobj=BytesIO(archive)) as tar:
        tar.extractall(home, filter="data")


def install(home: Path) -> Path:
    """Install the unpacked version into an environment of its own, and return its interpreter."""
    uv = Path(sys.executable).with_name("uv")
    python = home / ".venv" / "bin" / "python"
    constraints = ["-c", str(_CONSTRAINTS)] if (home / _CONSTRAINTS).exists() else []
    for arguments in (
        ["venv", "--quiet", "--python", sys.executable, ".venv"],
        ["pip", "install", "--quiet", "--python", str(python), *constraints, "."],
    ):
        subprocess.run([uv, *arguments], cwd=home, check=True)
    return python


class OldCode:
    """The programs of an unpacked version, with these variables. Those of PYTHONPATH come before what is installed."""

    def __init__(self, home: Path, python: Path, env: Mapping[str, str]) -> None:
        self._home = home
        self._python = python
        self._env = {
            **bare_environment(),
            "PYTHONPATH": str(home),
            # Not the package of the folder in which the tests are called.
            "PYTHONSAFEPATH": "1",
            **env,
        }

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self._python, "-m", "kernapay", *arguments],
            cwd=self._home,
            env=self._env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def server(
        self, name: str, home: Path, module: str, ready_at: str, *arguments: str
    ) -> "Serving":
        """Return a server of this version, which is not started yet."""
        port = free_port()
        url = f"http://{HOST}:{port}"
        command = (str(self._python), "-m", module, *arguments, "--port", str(port))
        return Serving(
            url, Process(name, home, command, self._env, lambda: answers(url + ready_at))
        )

    def worker(self, home: Path) -> Process:
        """Return the worker of this version, which is not started yet."""
        command = (str(self._python), "-m", "kernapay", "worker")
        return Process("worker", home, command, self._env)


class Serving:
    """A server, and where it answers."""

    def __init__(self, url: str, process: Process) -> None:
        self.url = url
        self.process = process
