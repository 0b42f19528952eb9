"""The load: connections that send prepared requests one after the other, by wrk or, more slowly, by Python."""

import asyncio
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import cycle
from math import ceil
from pathlib import Path
from typing import Final, Literal, NamedTuple

import msgspec

from tests.benchmarks.api.http_client import HOST, Connection, raw_request

_TIMEOUT: Final = 60
_EXHAUSTED: Final = "/exhausted"
"""Nobody answers this path with 200, so a row whose requests ran out is noticed."""

# wrk calls `request` once before it starts and sends nothing then, so a few requests of each batch are never sent.
_SCRIPT: Final = f"""
local requests, position, only_once, think = {{}}, 0, false, 0
function init(arguments)
  only_once, think = arguments[2] == "once", tonumber(arguments[3])
  local file = assert(io.open(arguments[1], "rb"))
  while true do
    local length = file:read("*n")
    if not length then break end
    file:read(1)
    requests[#requests + 1] = file:read(length)
  end
  exhausted = wrk.format("GET", "{_EXHAUSTED}")
  if think > 0 then
    math.randomseed(os.time())
    delay = function() return math.random(think / 2, think * 3 / 2) end
  end
end
function request()
  position = position + 1
  if position > #requests then
    if only_once then return exhausted end
    position = 1
  end
  return requests[position]
end
function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {{"answers":%d,"seconds":%f,"p50_ms":%f,"p99_ms":%f,"refused":%d,"broken":%d}}\\n',
    summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
"""


class Batch(NamedTuple):
    """Requests as bytes. Those that may be sent once only are never sent again; others are sent in turn."""

    requests: Sequence[bytes]
    only_once: bool = False


class Outcome(msgspec.Struct, frozen=True):
    """What the load saw. `refused` are answers of 400 and more, `broken` are connections without an answer."""

    answers: int
    seconds: float
    p50_ms: float
    p99_ms: float
    refused: int
    broken: int

    @property
    def per_second(self) -> float:
        return self.answers / self.seconds


class Load(NamedTuple):
    """Seconds, connections, and how many milliseconds each of them pauses on average before its next request."""

    seconds: float
    connections: int
    pause_ms: int = 0


Tool = Literal["wrk", "python"]


def find_tool() -> Tool:
    return "wrk" if shutil.which("wrk") else "python"


def play(tool: Tool, port: int, batch: Batch, load: Load) -> Outcome:
    """Send the requests for so many seconds and return what came back."""
    return _play_wrk(port, batch, load) if tool == "wrk" else asyncio.run(_play(port, batch, load))


def _play_wrk(port: int, batch: Batch, load: Load) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="kernapay-load-") as home:
        script, requests = Path(home, "play.lua"), Path(home, "requests")
        script.write_text(_SCRIPT)
        with requests.open("wb") as file:
            file.writelines(b"%d\n%s" % (len(each), each) for each in batch.requests)
        # wrk takes whole seconds.
        seconds = ceil(load.seconds)
        played = subprocess.run(
            [
                *("wrk", "-t1", f"-c{load.connections}", f"-d{seconds}s"),
                *("--timeout", f"{_TIMEOUT}s", "-s", str(script), f"http://{HOST}:{port}", "--"),
                *(str(requests), "once" if batch.only_once else "cycle", str(load.pause_ms)),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
    for line in played.stdout.splitlines():
        if line.startswith("RESULT "):
            return msgspec.json.decode(line.removeprefix("RESULT "), type=Outcome)
    raise RuntimeError(f"wrk ended without a result: {played.stdout}{played.stderr}")


async def _play(port: int, batch: Batch, load: Load) -> Outcome:
    """Do as wrk does."""
    requests = _endless(batch, port)
    took: list[float] = []
    refused = broken = 0
    started = time.perf_counter()
    end = started + load.seconds

    async def work() -> None:
        nonlocal refused, broken
        async with Connection(port) as connection:
            while True:
                if load.pause_ms:
                    pause = random.uniform(0.5, 1.5) * load.pause_ms / 1000
                    await asyncio.sleep(pause)
                if (sent := time.perf_counter()) >= end:
                    return
                try:
                    answer = await connection.send(next(requests))
                except (OSError, EOFError):
                    broken += 1
                    return
                refused += answer.status >= 400
                took.append(time.perf_counter() - sent)

    async with asyncio.TaskGroup() as group:
        for _ in range(load.connections):
            group.create_task(work())
    seconds = time.perf_counter() - started
    took.sort()
    p50, p99 = (took[len(took) * each // 100] * 1000 if took else 0.0 for each in (50, 99))
    return Outcome(len(took), seconds, p50, p99, refused, broken)


def _endless(batch: Batch, port: int) -> Iterator[bytes]:
    if not batch.only_once:
        return cycle(batch.requests)
    exhausted = raw_request("GET", _EXHAUSTED, port)
    return (request for part in (batch.requests, cycle([exhausted])) for request in part)
