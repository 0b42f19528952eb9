"""Lines of the access log are written together, soon, and whole."""

import asyncio
import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from kernapay.core.log_stream import LogStream
from kernapay.web.access_log import AccessLine, AccessLog

pytestmark = pytest.mark.anyio
PIPE_TAKES_WHOLE = 4096


class Output(io.RawIOBase):
    """Keeps each write."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.is_written = asyncio.Event()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.writes.append(bytes(data))
        self.is_written.set()
        return len(data)


@pytest.fixture
def output() -> Output:
    return Output()


@pytest.fixture
def log(output: Output) -> AccessLog:
    text = io.TextIOWrapper(io.BufferedWriter(output))
    return AccessLog("INFO", LogStream(text))


def line(request_id: str) -> AccessLine:
    return AccessLine("GET", "/", 200, 1.0, request_id, datetime.now(UTC))


def ids_in(output: Output) -> list[str]:
    return [json.loads(each)["request_id"] for each in b"".join(output.writes).splitlines()]


async def test_lines_of_a_moment_are_one_write(log: AccessLog, output: Output) -> None:
    for number in range(5):
        log.write(line(str(number)))
    assert output.writes == []
    async with asyncio.timeout(30):
        await output.is_written.wait()
    assert len(output.writes) == 1
    assert ids_in(output) == ["0", "1", "2", "3", "4"]


async def test_no_write_is_longer_than_a_pipe_takes_whole(log: AccessLog, output: Output) -> None:
    wanted = [f"{number:040}" for number in range(100)]
    for each in wanted:
        log.write(line(each))
    log.flush()
    assert len(output.writes) > 1
    assert all(len(each) <= PIPE_TAKES_WHOLE for each in output.writes)
    assert ids_in(output) == wanted
