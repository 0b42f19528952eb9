"""`kernapay …`, as an operator types it."""

import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryFile
from typing import Protocol

from tests.preloaded import PYTHON, can_fork, preloaded
from tests.stack import bare_environment


def run_command(
    *arguments: str,
    env: Mapping[str, str | None] | None = None,
    cwd: Path | None = None,
    timeout: float = 60,
) -> subprocess.CompletedProcess[str]:
    """Run `kernapay` to its end, with these variables only; None as a value takes one away."""
    given = {**bare_environment(), **(env or {})}
    variables = {name: value for name, value in given.items() if value is not None}
    command = [*PYTHON, "kernapay", *arguments]
    if can_fork(command, variables):
        return _run_preloaded(command, variables, cwd, timeout)
    return subprocess.run(
        command,
        cwd=cwd,
        env=variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def _run_preloaded(
    command: list[str], env: Mapping[str, str], cwd: Path | None, timeout: float
) -> subprocess.CompletedProcess[str]:
    with TemporaryFile() as stdout, TemporaryFile() as stderr:
        child = preloaded().start(command, env, stdout, stderr, cwd)
        try:
            code = child.wait(timeout)
        finally:
            child.send_signal(signal.SIGKILL)
        stdout.seek(0)
        stderr.seek(0)
        output, errors = stdout.read().decode(), stderr.read().decode()
        return subprocess.CompletedProcess(command, code, output, errors)


class RunKernapay(Protocol):
    def __call__(self, *arguments: str, **env: str | None) -> subprocess.CompletedProcess[str]: ...
