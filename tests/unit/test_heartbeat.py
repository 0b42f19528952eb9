"""A worker that hangs is noticed, whatever it is that hangs."""

import asyncio
from pathlib import Path

import pytest
import structlog
from click.testing import CliRunner

from kernapay.commands.main import cli
from kernapay.core.heartbeat import Heartbeat, beat, find_silence
from kernapay.reconciliation.pacing import Pace
from kernapay.worker import repeat
from tests.waiting import until

pytestmark = pytest.mark.anyio
START = 1000.0


class Time:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


async def test_a_loop_that_hangs_is_named_and_one_that_goes_on_is_not(tmp_path: Path) -> None:
    file, time = tmp_path / "worker", Time()
    heartbeat = Heartbeat(file, time)
    stop, hangs, has_swept = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def hang() -> bool:
        await hangs.wait()
        return False

    async def work() -> bool:
        has_swept.set()
        await asyncio.sleep(0)
        return True

    async with asyncio.TaskGroup() as group:
        group.create_task(heartbeat.watch("inbox", repeat("inbox", hang, stop)))
        group.create_task(heartbeat.watch("outbox", repeat("outbox", work, stop)))
        await has_swept.wait()
        for passed, silent in ((0.0, []), (599.0, []), (601.0, ["inbox"])):
            time.now = START + passed
            has_swept.clear()
            await has_swept.wait()
            await asyncio.sleep(0)
            heartbeat.write(file)
            assert [line.split()[2] for line in find_silence(file, time)] == silent
        stop.set()
        hangs.set()


async def test_long_work_that_asks_the_gateway_goes_on(tmp_path: Path) -> None:
    file, time = tmp_path / "worker", Time()
    heartbeat = Heartbeat(file, time)

    async def ask() -> None:
        time.now += 400

    async def make_report() -> None:
        pace = Pace(1000)
        await asyncio.gather(*(pace.call(ask) for _ in range(3)))

    await heartbeat.watch("reports", make_report())
    heartbeat.write(file)
    assert time.now > START + 600
    assert find_silence(file, time) == []
    beat()  # outside a loop, as in a command: nothing to note


async def test_the_file_is_written_while_the_process_runs_and_goes_with_it(
    tmp_path: Path,
) -> None:
    file, time = tmp_path / "worker", Time()
    heartbeat = Heartbeat(file, time)
    async with heartbeat.running():
        await until(file.exists)
        assert find_silence(file, time) == []
        time.now += 61  # nothing was written meanwhile: the event loop is held up
        assert "wrote" in find_silence(file, time)[0]
        time.now = START - 1  # the file is from before the machine was started
        assert "wrote" in find_silence(file, time)[0]
    assert "does not exist" in find_silence(file, time)[0]
    async with Heartbeat(None).running():
        await asyncio.sleep(0)


async def test_a_disk_that_is_full_does_not_end_the_work(tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as lines:
        async with Heartbeat(tmp_path / "missing" / "worker").running():
            await until(lambda: "heartbeat_not_written" in [line["event"] for line in lines])


def test_the_command_tells_by_its_exit_code(tmp_path: Path) -> None:
    file = tmp_path / "worker"

    def check(*options: str) -> tuple[int, str]:
        ran = CliRunner().invoke(cli, ["worker", "--check", *options])
        return ran.exit_code, ran.output

    assert check()[0] == 2
    code, output = check("--heartbeat", str(file))
    assert (code, "does not exist" in output) == (1, True)
    file.write_bytes(b"\xff")
    assert check("--heartbeat", str(file))[0] == 1
    Heartbeat(file).write(file)
    assert check("--heartbeat", str(file)) == (0, "")
