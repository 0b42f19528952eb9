"""Realistic traffic for a while, then the audit of the books: `python -m tests.benchmarks.loadtest`."""

import asyncio
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click
import msgspec
from rich.console import Console
from rich.live import Live

from kernapay.devstack.binaries import MissingBinary
from kernapay.devstack.process import ServerError
from kernapay.devstack.state import NoStack
from tests.benchmarks.api.http_client import raw_request, send_over
from tests.benchmarks.loadtest import report
from tests.benchmarks.loadtest.customers import Caller, Customer, Stopped, log_in
from tests.benchmarks.loadtest.recorder import Recorder
from tests.benchmarks.loadtest.target import (
    MemoryReader,
    NoSandbox,
    Target,
    own_target,
    running_target,
)
from tests.checkout import ROOT, commit

_SETTLING_SECONDS: Final = 120.0
_AUDIT_SECONDS: Final = 1800
_PATH: Final = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.option("--seconds", type=click.IntRange(1), default=120, show_default=True)
@click.option("--clients", type=click.IntRange(1, 512), default=24, show_default=True)
@click.option(
    "--pause",
    "pause_ms",
    type=click.IntRange(0),
    default=50,
    show_default=True,
    help="How many milliseconds a customer waits between two doings, on average.",
)
@click.option("--seed", type=int, help="For the choices of the customers.")
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Data directory of a stack of `kernapay dev` that runs. Without it, one is started.",
)
@click.option("--json", "json_file", type=_PATH, help="Keep the figures in this file.")
@click.option("--html", "html_file", type=_PATH, help="Keep the charts in this page.")
def main(
    seconds: int,
    clients: int,
    pause_ms: int,
    seed: int | None,
    data: Path | None,
    json_file: Path | None,
    html_file: Path | None,
) -> None:
    """Let customers sign up, buy, pay, look and get refunds, then compare the books with the gateway's.

    The exit code is 1 if an answer was not as expected, or if the audit found a difference.
    """
    if sys.platform != "linux":
        raise click.ClickException("The memory is read from /proc, so this needs Linux.")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    console = Console(highlight=False)
    at = datetime.now(UTC).isoformat(timespec="seconds")
    recorder = Recorder()
    try:
        with _target(data) as target:
            asyncio.run(_play(target, recorder, console, seconds, clients, pause_ms / 1000, seed))
            console.print("Waiting for the gateway's events, then the audit.")
            asyncio.run(_wait_for_events(target, recorder))
            audit = _audit(target)
    except (ServerError, MissingBinary, NoStack, NoSandbox) as error:
        raise click.ClickException(str(error)) from error
    made = report.summarize(recorder, seconds, clients, at, commit(), audit)
    console.print(report.final_view(made))
    if json_file is not None:
        json_file.write_bytes(msgspec.json.format(msgspec.json.encode(made)))
    if html_file is not None:
        html_file.write_text(report.page(made))
    sys.exit(0 if made.has_passed else 1)


@contextmanager
def _target(data: Path | None) -> Iterator[Target]:
    if data is not None:
        yield running_target(data.resolve())
        return
    with (
        tempfile.TemporaryDirectory(prefix="kernapay-load-") as home,
        own_target(Path(home)) as own,
    ):
        yield own


async def _play(
    target: Target,
    recorder: Recorder,
    console: Console,
    seconds: int,
    clients: int,
    pause: float,
    seed: int | None,
) -> None:
    chance = random.Random(seed)
    token = await _admin_token(target, recorder)
    until = time.monotonic() + seconds
    customers = [
        Customer(target, recorder, token, random.Random(chance.random()), pause)
        for _ in range(clients)
    ]
    memory = MemoryReader(target.pids)
    with Live(console=console, refresh_per_second=2, transient=True) as live:
        async with asyncio.TaskGroup() as group:
            for customer in customers:
                group.create_task(customer.run(until))
            while (left := until - time.monotonic()) > 0:
                await asyncio.sleep(min(1.0, left))
                recorder.end_second(await asyncio.to_thread(memory.read))
                live.update(report.live_view(recorder, max(0.0, left - 1), clients))


async def _admin_token(target: Target, recorder: Recorder) -> str:
    async with Caller(target.api, recorder, "", is_limited=False) as caller:
        try:
            return await log_in(caller, *target.admin)
        except Stopped:
            raise click.ClickException(
                "The administrator of the stack cannot sign in with its password."
            ) from None


async def _wait_for_events(target: Target, recorder: Recorder) -> None:
    """Wait until the sandbox has delivered every event."""
    give_up = time.monotonic() + _SETTLING_SECONDS
    path = "/_sandbox/deliveries?status=pending&count=1"
    request = raw_request("GET", path, target.sandbox)
    while True:
        (answer,) = await send_over(target.sandbox, [request], 1)
        if not json.loads(answer.body)["items"]:
            return
        if time.monotonic() > give_up:
            recorder.record_problem(
                "event", f"still not delivered {_SETTLING_SECONDS:g} s after the load"
            )
            return
        await asyncio.sleep(0.5)


def _audit(target: Target) -> report.Audit:
    ran = subprocess.run(
        [sys.executable, "-m", "kernapay", "audit"],
        cwd=ROOT,
        env={**target.env},
        capture_output=True,
        text=True,
        timeout=_AUDIT_SECONDS,
        check=False,
    )
    # Its progress is of interest only when it went no further.
    return report.Audit(ran.returncode, ran.stdout + (ran.stderr if ran.returncode else ""))


if __name__ == "__main__":
    main()
