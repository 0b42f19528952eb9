import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kernapay.devstack.pidfile import command_line
from kernapay.devstack.process import Process, ServerError
from tests.waiting import eventually

SLEEPER = (sys.executable, "-c", "import time; time.sleep(600)")


@contextmanager
def sleeper_in_a_session() -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(SLEEPER, start_new_session=True)
    try:
        # The kernel lets us go on before the new program has its arguments.
        eventually(lambda: command_line(process.pid) == list(SLEEPER))
        yield process
    finally:
        process.kill()
        process.wait()


def run_and_kill(script: str, *arguments: str) -> list[int]:
    """Run a script until it has printed its children's pids, kill -9 it, return the pids."""
    with subprocess.Popen(
        [sys.executable, "-c", script, *arguments], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pids = [int(word) for word in parent.stdout.readline().split()]
        assert pids
        assert all(command_line(pid) for pid in pids)
        parent.kill()
    return pids


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a parent death signal")
def test_servers_die_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = """
import sys, threading
from pathlib import Path
from kernapay.devstack.servers import MongoServer, RedisServer
home = Path(sys.argv[1])
mongo, redis = MongoServer(home / "mongo"), RedisServer(home / "redis")
# From a thread that ends: the servers live on with the process.
starter = threading.Thread(target=lambda: (mongo.start(), redis.start()))
starter.start()
starter.join()
assert mongo.ready() and redis.ready()
print(mongo.pid, redis.pid, flush=True)
threading.Event().wait()
"""
    pids = run_and_kill(script, str(tmp_path))
    eventually(lambda: not any(command_line(pid) for pid in pids))


def test_a_process_that_watches_its_parent_ends_with_it_even_if_it_ignores_sigterm() -> None:
    child = """
import signal, sys
from kernapay.core.parent_watch import watch_parent
signal.signal(signal.SIGTERM, signal.SIG_IGN)
watch_parent(grace=0.2)
print("watching", flush=True)
signal.pause()
"""
    script = f"""
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {child!r}], stdout=subprocess.PIPE, text=True)
assert child.stdout.readline() == "watching\\n"
print(child.pid, flush=True)
time.sleep(600)
"""
    pids = run_and_kill(script)
    eventually(lambda: not any(command_line(pid) for pid in pids))


def test_a_stale_process_of_the_same_home_is_killed_at_the_next_start(tmp_path: Path) -> None:
    with sleeper_in_a_session() as stale:
        note = {"pid": stale.pid, "command": SLEEPER}
        (tmp_path / "sleeper.pid").write_text(json.dumps(note))
        with Process("sleeper", tmp_path, SLEEPER) as sleeper:
            assert stale.wait(10) == -signal.SIGKILL
            assert sleeper.is_running


@pytest.mark.parametrize("command", [["mongod", "--dbpath", "elsewhere"], list(SLEEPER[:-1])])
def test_a_process_that_has_only_inherited_the_number_is_spared(
    tmp_path: Path, command: list[str]
) -> None:
    with sleeper_in_a_session() as innocent:
        note = {"pid": innocent.pid, "command": command}
        (tmp_path / "sleeper.pid").write_text(json.dumps(note))
        with Process("sleeper", tmp_path, SLEEPER):
            assert innocent.poll() is None


@pytest.mark.parametrize("text", ["", "{", "12", '{"pid": "x", "command": []}', "[]"])
def test_a_pid_file_cut_short_by_a_crash_does_not_stop_the_next_start(
    tmp_path: Path, text: str
) -> None:
    (tmp_path / "sleeper.pid").write_text(text)
    with Process("sleeper", tmp_path, SLEEPER) as sleeper:
        assert sleeper.is_running


def test_stopping_takes_along_what_the_child_started(tmp_path: Path) -> None:
    script = "import os, signal; print(os.fork(), flush=True); signal.pause()"
    process = Process("parent", tmp_path, (sys.executable, "-c", script))
    process.start()
    eventually(lambda: len(process.log.read_text().split()) == 2)
    grandchild = max(int(word) for word in process.log.read_text().split())
    assert command_line(grandchild)
    process.stop()
    eventually(lambda: not command_line(grandchild))


def test_a_command_is_run_to_its_end_and_a_failure_shows_its_output(tmp_path: Path) -> None:
    Process("good", tmp_path, ("/bin/sh", "-c", "exit 0")).run()
    with pytest.raises(ServerError, match=r"(?s)bad ended with exit code 3.*so it is"):
        Process("bad", tmp_path, ("/bin/sh", "-c", "echo so it is; exit 3")).run()
    slow = Process("slow", tmp_path, SLEEPER)
    with pytest.raises(ServerError, match=r"slow takes over 0\.1 s"):
        slow.run(timeout=0.1)
    assert not slow.is_running


def test_an_error_shows_the_last_lines_of_this_run_only(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="words of the first run"):
        Process("child", tmp_path, ("/bin/sh", "-c", "echo words of the first run; exit 3")).run()
    for script in ("exit 4", "echo words of the second run; exit 4"):
        with pytest.raises(ServerError, match="exit code 4") as raised:
            Process("child", tmp_path, ("/bin/sh", "-c", script)).run()
        assert "first run" not in str(raised.value)
    assert "words of the second run" in str(raised.value)


def test_a_child_is_out_of_reach_of_the_terminals_ctrl_c(tmp_path: Path) -> None:
    with Process("sleeper", tmp_path, SLEEPER) as sleeper:
        assert os.getsid(sleeper.pid or 0) != os.getsid(0)
