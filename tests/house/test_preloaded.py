"""A forked command is the same as one in a new interpreter."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.checkout import ROOT
from tests.preloaded import PYTHON, can_fork, preloaded
from tests.stack import bare_environment
from tests.waiting import eventually

SHOW = """
import json, os, sys
print(json.dumps([sys.argv[1:], sorted(os.environ), os.getcwd(), os.getsid(0) == os.getpid(), sys.stdin.read()]))
print("an error", file=sys.stderr)
sys.exit(3)
"""
OWNER = """
import sys, time
from pathlib import Path
from tests.preloaded import Preloaded, PYTHON
with open("log", "wb") as log:
    child = Preloaded().start([*PYTHON, "sleeper"], {}, log, log, Path.cwd())
print(child.pid, flush=True)
time.sleep(60)
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only on Linux are they forked")


def run_new(command: list[str], env: dict[str, str], home: Path) -> tuple[int, str, str]:
    ran = subprocess.run(
        command,
        env=env,
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    return ran.returncode, ran.stdout, ran.stderr


def run_forked(command: list[str], env: dict[str, str], home: Path) -> tuple[int, str, str]:
    with (home / "out").open("wb") as out, (home / "err").open("wb") as err:
        code = preloaded().start(command, env, out, err, home).wait(20)
    return code, (home / "out").read_text(), (home / "err").read_text()


@pytest.mark.parametrize("run", [run_new, run_forked])
def test_a_command_has_its_own_arguments_environment_folder_session_and_code(
    run: Callable[[list[str], dict[str, str], Path], tuple[int, str, str]], tmp_path: Path
) -> None:
    (tmp_path / "show.py").write_text(SHOW)
    env = {**bare_environment(), "ONLY": "here"}
    code, out, err = run([*PYTHON, "show", "--one", "two"], env, tmp_path)
    assert (code, err) == (3, "an error\n")
    names = ", ".join(f'"{name}"' for name in sorted(env))
    assert out.strip() == f'[["--one", "two"], [{names}], "{tmp_path}", true, ""]'


def test_a_signal_is_told_from_a_code(tmp_path: Path) -> None:
    (tmp_path / "sleeper.py").write_text("import time; time.sleep(60)")
    with (tmp_path / "out").open("wb") as out:
        child = preloaded().start([*PYTHON, "sleeper"], bare_environment(), out, out, tmp_path)
    assert child.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(0.01)
    child.terminate()
    assert child.wait(20) == -signal.SIGTERM


def test_who_is_killed_at_once_with_its_group_ends(tmp_path: Path) -> None:
    (tmp_path / "sleeper.py").write_text("import time; time.sleep(60)")
    with (tmp_path / "out").open("wb") as out:
        for _ in range(20):
            child = preloaded().start([*PYTHON, "sleeper"], bare_environment(), out, out, tmp_path)
            os.killpg(child.pid, signal.SIGKILL)
            assert child.wait(20) == -signal.SIGKILL


def test_forked_commands_end_with_the_tests_that_started_them(tmp_path: Path) -> None:
    (tmp_path / "sleeper.py").write_text("import time; time.sleep(60)")
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER],
        cwd=tmp_path,
        env={**bare_environment(), "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert owner.stdout is not None
    pid = int(owner.stdout.readline())
    os.kill(pid, 0)
    owner.kill()
    owner.communicate()
    eventually(lambda: not Path(f"/proc/{pid}").exists())


@pytest.mark.parametrize(
    ("command", "env"),
    [
        ([*PYTHON, "kernapay", "serve", "--workers", "2"], {}),
        ([*PYTHON, "kernapay", "serve"], {"PYTHONPATH": "/tmp"}),
        ([*PYTHON, "kernapay", "serve"], {"COVERAGE_PROCESS_START": "pyproject.toml"}),
        ([*PYTHON, "kernapay", "serve"], {"PROMETHEUS_MULTIPROC_DIR": "/tmp/metrics"}),
        (["/bin/sh", "-c", "true"], {}),
    ],
)
def test_what_is_decided_at_the_start_of_an_interpreter_gets_a_new_one(
    command: list[str], env: dict[str, str]
) -> None:
    assert not can_fork(command, env)
    assert can_fork([*PYTHON, "kernapay", "serve", "--workers", "1"], {})
