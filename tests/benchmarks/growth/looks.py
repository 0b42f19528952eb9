"""What each look of a worker costs that finds nothing due.

`python -m tests.benchmarks.growth.looks MONGOD COUNT` looks in a process of its own, as a worker does, and prints the
cost of each look as JSON.
"""

import asyncio
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from kernapay.bootstrap.services import open_services
from kernapay.config.loading import load_settings
from kernapay.storage.mongo import database
from kernapay.worker import sweeps
from tests.benchmarks.api.bench import WrongAnswers
from tests.benchmarks.growth.metering import Meter
from tests.benchmarks.growth.results import Round
from tests.benchmarks.growth.site import Site
from tests.benchmarks.growth.works import LOOKS
from tests.checkout import ROOT

_WARM_UP: Final = 10
# What failed before is not looked at any more.
_LATELY: Final = timedelta(days=14)


def measure_looks(site: Site, count: int) -> dict[str, Round]:
    """Return the cost of each look. Raises WrongAnswers."""
    _postpone(site)
    command = (sys.executable, "-m", __name__, str(site.mongod), str(count))
    ran = subprocess.run(
        command, cwd=ROOT, env=site.servers.env, capture_output=True, text=True, check=False
    )
    if ran.returncode:
        raise WrongAnswers(f"the looks ended with {ran.returncode}: {ran.stderr[-1000:]}")
    return msgspec.json.decode(ran.stdout, type=dict[str, Round])


def _postpone(site: Site) -> None:
    """Let nothing be due: what was created by the requests before, or is due since the database was filled."""
    now = datetime.now(UTC)
    for field in ("checkAt", "endsAt"):
        due = {
            "status": {"$in": ["pending", "failed"]},
            field: {"$gte": now - _LATELY, "$lte": now},
        }
        site.store.payments.update_many(due, {"$set": {field: now + timedelta(days=1)}})


async def _look(mongod: int, count: int) -> dict[str, Round]:
    found = {}
    async with open_services(load_settings(None)) as services:
        sweep_of = sweeps(services)
        for name in LOOKS:
            for _ in range(_WARM_UP):
                await sweep_of[name]()
            meter = Meter(database(), mongod, [os.getpid()])
            seconds = []
            for _ in range(count):
                started = time.perf_counter()
                if await sweep_of[name]():
                    raise RuntimeError(f"{name} found work")
                seconds.append(time.perf_counter() - started)
            found[name] = meter.end(seconds)
    return found


if __name__ == "__main__":
    rounds = asyncio.run(_look(int(sys.argv[1]), int(sys.argv[2])))
    sys.stdout.buffer.write(msgspec.json.encode(rounds))
