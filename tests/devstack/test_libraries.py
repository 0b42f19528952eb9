"""Libraries that a minimal system lacks come from a wheel."""

import subprocess
import sys
from pathlib import Path

import pytest

from kernapay.devstack.binaries import locate
from kernapay.devstack.libraries import NEEDED, environment_for

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="on macOS mongod needs no such library"
)


def found(folder: Path, environ: dict[str, str], *missing: str) -> dict[str, str]:
    """Return where the loader finds each library of mongod when the system lacks some."""
    env = environment_for(folder, environ, lambda name: name not in missing)
    assert env is not None
    listed = subprocess.run(
        ["ldd", str(locate("mongod"))], env=env, capture_output=True, text=True, check=True
    )
    rows = [line.split() for line in listed.stdout.splitlines() if "=>" in line]
    return {row[0]: row[2] for row in rows}


def test_mongod_runs_with_libcurl_and_openssl_of_the_wheel(tmp_path: Path) -> None:
    environ = {"PATH": "/usr/bin:/bin"}
    places = found(tmp_path / "links", environ, *NEEDED)
    assert [Path(places[name]).parent for name in NEEDED] == [tmp_path / "links"] * len(NEEDED)
    env = environment_for(tmp_path / "links", environ, lambda _: False)
    ran = subprocess.run(
        [str(locate("mongod")), "--version"], env=env, capture_output=True, text=True, check=True
    )
    assert "db version" in ran.stdout


def test_only_what_is_missing_is_replaced_and_the_own_path_stays(tmp_path: Path) -> None:
    folder = tmp_path / "links"
    for _ in range(2):  # the second start finds the links of the first one
        env = environment_for(
            folder, {"LD_LIBRARY_PATH": "/opt/own"}, lambda name: name != "libcurl.so.4"
        )
        assert env is not None
        assert env["LD_LIBRARY_PATH"].startswith(f"{folder}:")
        assert env["LD_LIBRARY_PATH"].endswith(":/opt/own")
        assert [path.name for path in folder.iterdir()] == ["libcurl.so.4"]


def test_a_system_that_has_them_all_is_left_alone(tmp_path: Path) -> None:
    assert environment_for(tmp_path / "links", {}, lambda _: True) is None
    assert not (tmp_path / "links").exists()
