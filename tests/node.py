"""Packages of npm, for tests that let a program in Node take part."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def installed(package: str, version: str, *beside: str, seconds: int = 100) -> Path:
    """Return a folder with the package, installed once into the user's cache. Skip the test where it cannot be had.

    `beside` are what it needs to find beside itself, such as `typescript@5.9.3`. `seconds` is how long npm
    may take.
    """
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("Node and npm are not installed")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    names = (f"{package}-{version}", *(each.replace("@", "-").replace("/", "-") for each in beside))
    home = cache / "kernapay-tests" / "+".join(names)
    if not (home / "node_modules" / package / "package.json").exists():
        home.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", "."]
        result = subprocess.run(
            [*command, f"{package}@{version}", *beside],
            cwd=home,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        if result.returncode != 0:
            reason = result.stderr.strip()[-300:]
            pytest.skip(f"npm cannot fetch {package}@{version}: {reason}")
    return home / "node_modules"
