"""Processes under limits of the kernel, to try what happens when something runs out."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.stack import bare_environment


def run_limited(
    script: str,
    *arguments: str,
    limits: Mapping[int, int],
    env: Mapping[str, str] | None = None,
) -> "subprocess.CompletedProcess[str]":
    """Run a Python script under `resource` limits, which hold from its first line on."""
    head = "import os, resource\n"
    for kind, limit in limits.items():
        head += f"resource.setrlimit({kind}, ({limit}, {limit}))\n"
    return subprocess.run(
        [sys.executable, "-c", f"import sys\n{head}{script}", *arguments],
        env={**bare_environment(), **(env or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[Path]:
    """Mount a disk of its own size in memory. Skip where that is not allowed."""
    folder.mkdir(parents=True)
    size = f"size={kilobytes}k"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"no disk can be mounted: {mounted.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> None:
    """Write until not one byte more fits."""
    with (folder / "filling").open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                continue
