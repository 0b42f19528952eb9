"""`kernapay …`, as an operator types it."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from tests.stack import bare_environment


def run_command(
    *arguments: str,
    env: Mapping[str, str | None] | None = None,
    cwd: Path | None = None,
    timeout: float = 60,
) -> subprocess.CompletedProcess[str]:
    """Run `kernapay` to its end, with these variables only; None as a value takes one away."""
    given = {**bare_environment(), **(env or {})}
    return subprocess.run(
        [sys.executable, "-m", "kernapay", *arguments],
        cwd=cwd,
        env={name: value for name, value in given.items() if value is not None},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


class RunKernapay(Protocol):
    def __call__(self, *arguments: str, **env: str | None) -> subprocess.CompletedProcess[str]: ...
