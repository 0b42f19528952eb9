"""What the process needs runs out: threads, disk, a reader of its log. Each under a real limit of the kernel."""

import json
import os
import resource
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from kernapay.core.limits import close_stalled_connections
from tests.limits import fill, run_limited, small_disk
from tests.stack import bare_environment

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="these are limits of Linux")

USER_TIMEOUT = (socket.IPPROTO_TCP, getattr(socket, "TCP_USER_TIMEOUT", 0))
THREADS = """
import asyncio, threading
from kernapay.core.bulkhead import Bulkhead
from kernapay.core.errors import Unavailable

# Root is not held to a number of threads. Nobody else is this user. Only now: it may not read our folders.
os.setuid(54_321)
ran = []
def limit(threads):
    resource.setrlimit(resource.RLIMIT_NPROC, (threads, 500))

async def main():
    gate = threading.Event()
    limit(1)  # this one
    pool = Bulkhead("test", threads=2, queue=1)
    for _ in range(5):
        try:
            await pool.run(ran.append, "told that it failed")
        except Unavailable as error:
            assert "No thread can be started for test calls" in error.detail, error.detail
        else:
            raise AssertionError("it ran without a thread")
    assert pool.pending == 0, pool.pending
    limit(500)
    await pool.run(ran.append, "a thread can be started again")
    # One thread is there and no second one: what waits for it is not lost.
    busy = asyncio.create_task(pool.run(gate.wait))
    await asyncio.sleep(0)
    limit(1)
    waiting = asyncio.create_task(pool.run(ran.append, "waited for the one thread"))
    await asyncio.sleep(0)
    assert pool.pending == 2, pool.pending
    gate.set()
    await asyncio.gather(busy, waiting)
    while pool.pending:  # a call counts until its thread has noted its end
        await asyncio.sleep(0.01)
    begun, stuck = threading.Event(), threading.Event()
    def hold():
        begun.set()
        return stuck.wait()
    held = asyncio.create_task(pool.run(hold))
    while not begun.is_set():
        await asyncio.sleep(0.01)
    never = asyncio.create_task(pool.run(ran.append, "cancelled by the end"))
    await asyncio.sleep(0)
    closing = threading.Timer(0.2, stuck.set)
    limit(500)
    closing.start()
    pool.close()
    outcomes = await asyncio.gather(held, never, return_exceptions=True)
    assert outcomes[0] is True and isinstance(outcomes[1], asyncio.CancelledError), outcomes
    try:
        await pool.run(ran.append, "after the end")
    except Unavailable:
        ran.append("refused after the end")

asyncio.run(main())
print("; ".join(ran))
"""


def test_a_thread_that_cannot_start_costs_its_call_only() -> None:
    """Its place is free again, and the call does not run later."""
    if os.getuid() != 0:
        pytest.skip("only root can become a user of whom no other thread is counted")
    result = run_limited(THREADS, limits={})
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == (
        "a thread can be started again; waited for the one thread; refused after the end"
    )


METRICS = """
import os
from kernapay.core import logs, metrics
logs.configure("INFO")
one = metrics.Counter("kernapay_one_total", "One", ("label",))
def count():
    for number in range(400):
        one.labels(f"{number}-{'x' * 200}").inc()
    print(metrics.exposition().decode().count("kernapay_one_total{"), flush=True)
if os.fork() == 0:
    count()
    os._exit(0)
assert os.waitstatus_to_exitcode(os.wait()[1]) == 0
count()
"""


def _counted(result: "subprocess.CompletedProcess[str]") -> list[int]:
    assert result.returncode == 0, result.stderr
    return [int(line) for line in result.stdout.splitlines() if line.isdecimal()]


def _warnings(result: "subprocess.CompletedProcess[str]") -> list[str]:
    lines = [line for line in result.stdout.splitlines() if not line.isdecimal()]
    return [json.loads(line)["event"] for line in lines]


def test_metrics_are_shared_by_processes(tmp_path: Path) -> None:
    result = run_limited(METRICS, limits={}, env={"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)})
    assert _counted(result) == [400, 400]
    assert _warnings(result) == []


def test_a_full_disk_costs_the_metrics_that_do_not_fit(tmp_path: Path) -> None:
    """prometheus-client's own files end the process by SIGBUS here."""
    with small_disk(tmp_path / "disk", 64) as disk:
        result = run_limited(METRICS, limits={}, env={"PROMETHEUS_MULTIPROC_DIR": str(disk)})
        fill(disk)
        full = run_limited(METRICS, limits={}, env={"PROMETHEUS_MULTIPROC_DIR": str(disk)})
    child, parent = _counted(result)
    assert 0 < child <= parent < 400
    assert _warnings(result) == ["metrics_not_written"] * 2, "each process says so once"
    assert len(_counted(full)) == 2
    assert _warnings(full) == ["metrics_not_written"] * 2


@pytest.mark.parametrize("folder", ["missing", "file/below"])
def test_a_folder_that_is_gone_costs_the_sum_only(tmp_path: Path, folder: str) -> None:
    (tmp_path / "file").touch()
    script = METRICS.replace("metrics.exposition().decode().count(", "str(one.collect()).count(")
    env = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / folder)}
    result = run_limited(script, limits={}, env=env)
    assert result.returncode == 0, result.stderr
    assert _warnings(result) == ["metrics_not_written"] * 2


def test_a_limit_on_the_size_of_files_costs_the_metrics_that_do_not_fit(tmp_path: Path) -> None:
    result = run_limited(
        METRICS,
        limits={resource.RLIMIT_FSIZE: 10_000},
        env={"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)},
    )
    child, parent = _counted(result)
    assert 0 < child <= parent < 400


OPEN_FILES = """
from kernapay.core.limits import raise_open_files
print(raise_open_files(), resource.getrlimit(resource.RLIMIT_NOFILE))
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 200))
print(raise_open_files(), resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def test_as_many_files_may_be_open_as_the_system_allows() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    result = run_limited(
        f"resource.setrlimit(resource.RLIMIT_NOFILE, (64, {hard}))\n{OPEN_FILES}", limits={}
    )
    most = min(hard, 65_536)
    assert result.stdout.splitlines() == [f"{most} ({most}, {hard})", "200 (200, 200)"]


def test_connections_to_every_listener_of_the_process_are_limited_and_nothing_stays_open() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as two,
        socket.create_connection(one.getsockname()) as ours,
    ):
        before = os.listdir("/proc/self/fd")
        assert close_stalled_connections(1.5)
        assert os.listdir("/proc/self/fd") == before
        limits = [each.getsockopt(*USER_TIMEOUT) for each in (one, two, ours)]
    assert limits == [1500, 1500, 0]


LOG = """
import asyncio, logging, structlog
from datetime import UTC, datetime
from kernapay.core import logs
from kernapay.web.access_log import AccessLine, AccessLog
access = AccessLog("INFO", logs.configure("INFO"))
log = structlog.get_logger("test")
def write():
    log.info("one", broken="\\ud83d", large=2**80)
    logging.getLogger("driver").warning("two %s", 2)
    logging.getLogger("driver").warning("three %s %s", 3)
    async def answer():
        access.write(AccessLine("GET", "/", 200, 1.0, "id", datetime.now(UTC)))
        access.flush()
    asyncio.run(answer())
write()
"""


def test_a_log_that_cannot_be_written_disturbs_nobody() -> None:
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [sys.executable, "-c", LOG],
            env=bare_environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=30,
            check=False,
        )
    assert (result.returncode, result.stderr) == (0, "")


def test_a_log_whose_reader_has_gone_disturbs_nobody() -> None:
    with subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"{LOG}\ninput()\nwrite()\nprint('done', file=__import__('sys').stderr)",
        ],
        env=bare_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        for _ in range(4):
            json.loads(process.stdout.readline())
        process.stdout.close()
        _, errors = process.communicate(b"\n", timeout=30)
    assert process.returncode == 0
    assert errors == b"done\n"


def test_lines_that_did_not_fit_are_counted_when_there_is_room_again(tmp_path: Path) -> None:
    script = f"""
{LOG}
import os, sys
for _ in range(100):
    write()
os.remove(sys.argv[1])
write()
"""
    with small_disk(tmp_path / "disk", 16) as disk:
        (filling := disk / "filling").write_bytes(b"x" * 8192)
        with (disk / "log").open("wb") as log:
            result = subprocess.run(
                [sys.executable, "-c", script, str(filling)],
                env=bare_environment(),
                stdout=log,
                stderr=subprocess.PIPE,
                timeout=30,
                check=False,
            )
        assert (result.returncode, result.stderr) == (0, b"")
        lines = (disk / "log").read_text().splitlines()
    events = []
    for line in lines:
        try:
            events.append(json.loads(line))
        except ValueError:
            assert line.startswith("{"), "one line was cut, and the next begins anew"
    losses = [event["lines"] for event in events if event["event"] == "log_lines_lost"]
    assert losses
    assert len(events) - len(losses) + sum(losses) == 4 * 102, "each line is there or counted"
    assert [event["event"] for event in events if event["event"] != "log_lines_lost"][-4:] == [
        *("one", "two 2", "three %s %s", "request")
    ]
