"""The wheel holds all that the service needs, and works without the checkout."""

import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.checkout import ROOT
from tests.command_line import run_command


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(home)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (built,) = home.glob("*.whl")
    return built


def test_the_wheel_holds_every_file_of_the_package_and_every_migration(wheel: Path) -> None:
    wanted = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "kernapay").rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    wanted |= {f"kernapay/_migrations/{path.name}" for path in (ROOT / "migrations").glob("*.py")}
    held = {name for name in ZipFile(wheel).namelist() if ".dist-info/" not in name}
    # Git's, where it was built from a checkout.
    assert held - {"kernapay/COMMIT"} == wanted
    assert any(name.endswith("swagger-ui-bundle.js") for name in held)


def test_the_installed_wheel_migrates_a_database(
    wheel: Path, empty_database_url: str, api_env: dict[str, str], tmp_path: Path
) -> None:
    with ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    unpacked = {"MONGODB_URL": empty_database_url, "PYTHONPATH": os.fspath(tmp_path)}
    ran = run_command("migrate", "up", env={**api_env, **unpacked}, cwd=tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    applied = {line.split()[1] for line in ran.stdout.splitlines() if line.startswith("applied ")}
    assert applied == {path.stem for path in (ROOT / "migrations").glob("*.py")}
